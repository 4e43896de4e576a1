"""The engine keeps its promises under every schedule: exactness, invariants, one final event each."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from service.errors import BadRequest, QueueFull
from service.generation.engine import SlotEngine
from service.generation.request import GenerationRequest
from service.generation.row import Row
from tests.service.generation.conftest import (
    CONTEXT,
    VOCABULARY,
    Answer,
    TinyModel,
    collect,
    request,
    run_alone,
)
from tests.service.generation.invariants import assert_invariants

MakeEngine = Callable[..., SlotEngine]


@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_greedy_answer_equals_torch_without_a_cache(
    tiny: TinyModel, make_engine: MakeEngine, length: int
) -> None:
    """Equal up to ties closer than the rounding of the float16 cache, which moves logits by < 0.05."""
    prompt = np.random.default_rng(length).integers(0, VOCABULARY, length).tolist()
    answer = run_alone(make_engine(slots=1), request(prompt, max_tokens=40, temperature=0.0))
    with torch.inference_mode():
        logits = tiny.decoder(torch.tensor([prompt + answer.tokens]))[0, length - 1 : -1]
    best = logits.max(dim=-1)
    chosen = logits.gather(1, torch.tensor(answer.tokens)[:, None])[:, 0]
    assert (best.values - chosen).max() < 0.05
    assert (best.indices == torch.tensor(answer.tokens)).float().mean() >= 0.9


def test_prefill_chunks_never_end_with_a_single_token(make_engine: MakeEngine) -> None:
    for chunk in (2, 3, 5):
        for length in range(2, 30):
            engine = make_engine(slots=1, chunk=chunk)
            fed = [0]
            engine.submit(0, request([1] * length, max_tokens=1))
            while not engine.is_idle:
                engine.step()
                fed.append(engine.lane.fed if engine.lane else length)
            assert min(after - before for before, after in pairwise(fed)) >= 2


def test_answer_is_cut_to_the_context(make_engine: MakeEngine) -> None:
    answer = run_alone(make_engine(), request([3] * 90, max_tokens=1000))
    assert (len(answer.tokens), answer.reason) == (CONTEXT - 90, "length")


def test_stop_token_ends_the_answer_and_is_not_part_of_it(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=1)
    free = run_alone(engine, request([5, 6], max_tokens=12, temperature=0.0)).tokens
    stop = next(token for token in free if token != free[0])
    wanted = request([5, 6], max_tokens=12, temperature=0.0, stop_token_ids=(stop,))
    stopped = run_alone(engine, wanted)
    assert (stopped.tokens, stopped.reason) == (free[: free.index(stop)], "stop")


@pytest.mark.parametrize("bad", [[VOCABULARY], [1, 2, 10**6], [1] * CONTEXT])
def test_ids_outside_the_vocabulary_and_long_prompts_are_refused_at_admission(
    make_engine: MakeEngine, bad: list[int]
) -> None:
    engine = make_engine()
    with pytest.raises(BadRequest):
        engine.submit(0, request(bad))
    assert engine.is_idle


def test_negative_ids_never_become_a_request() -> None:
    with pytest.raises(BadRequest):
        request([-1])


def test_a_full_queue_tells_how_long_it_takes_to_empty(make_engine: MakeEngine) -> None:
    now = [0.0]
    engine = make_engine(slots=1, waiting=3, clock=lambda: now[0])
    for index in range(3):
        engine.submit(index, request([1], max_tokens=3))
    sent = 3
    while sent < 10:  # a request joins every time that one was taken; each step takes two seconds
        engine.step()
        now[0] += 2.0
        while len(engine.waiting) < 3:
            engine.submit(sent, request([1], max_tokens=3))
            sent += 1
    expected_s = 3 * 2 * 2.0  # three requests of two steps: the first brings two tokens
    with pytest.raises(QueueFull) as refused:
        engine.submit(99, request([1]))
    assert refused.value.retry_after_s is not None
    assert expected_s * 0.95 < refused.value.retry_after_s < expected_s * 1.25 * 1.05
    engine.fail_all("the end")


def test_full_queue_refuses_at_once_and_keeps_what_it_took(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=1, waiting=2)
    for index in range(2):
        engine.submit(index, request([1], max_tokens=3))
    with pytest.raises(QueueFull) as refused:
        engine.submit(9, request([1]))
    assert refused.value.retry_after_s
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        collect(answers, engine.step())
    assert {index: len(answer.tokens) for index, answer in answers.items()} == {0: 3, 1: 3}


def submit_three(engine: SlotEngine) -> list[GenerationRequest]:
    """Three running rows, one step from their first token."""
    requests = [request([index + 1] * 4, max_tokens=8, temperature=0.0) for index in range(3)]
    for index, wanted in enumerate(requests):
        engine.submit(index, wanted)
    return requests


def finish(engine: SlotEngine, answers: dict[int, Answer]) -> None:
    while not engine.is_idle:
        collect(answers, engine.step())
        assert_invariants(engine)


def test_logits_that_are_not_finite_fail_their_request_only(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    requests = submit_three(engine)
    answers: dict[int, Answer] = {}
    while len(engine.rows) < 3:
        collect(answers, engine.step())
    true_decode = engine.cache.decode

    def poisoned(count: int) -> np.ndarray:
        logits = true_decode(count)
        logits[1, 4] = np.nan
        return logits

    monkeypatch.setattr(engine.cache, "decode", poisoned)
    guilty = engine.rows[1].request_id
    collect(answers, engine.step())
    monkeypatch.undo()
    finish(engine, answers)
    assert answers[guilty].events[-1].code == "inference_failed"
    for index in {0, 1, 2} - {guilty}:
        assert answers[index].tokens == run_alone(make_engine(), requests[index]).tokens


def test_a_step_that_raises_fails_only_the_row_that_breaks_it(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine()
    requests = submit_three(engine)
    answers: dict[int, Answer] = {}
    while len(engine.rows) < 3:
        collect(answers, engine.step())
    guilty = engine.rows[0].request_id
    engine.cache.ids[0] = VOCABULARY + 5  # what ONNX Runtime refuses in the middle of a run
    collect(answers, engine.step())
    finish(engine, answers)
    assert answers[guilty].reason == "error"
    for index in {0, 1, 2} - {guilty}:
        assert answers[index].tokens == run_alone(make_engine(), requests[index]).tokens


def test_a_prompt_that_breaks_prefill_fails_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(chunk=2)
    requests = submit_three(engine)
    engine.requests.find(1).prompt[3] = VOCABULARY + 5
    answers: dict[int, Answer] = {}
    finish(engine, answers)
    assert answers[1].reason == "error"
    for index in (0, 2):
        assert answers[index].tokens == run_alone(make_engine(), requests[index]).tokens


def test_a_thousand_cancelled_requests_leave_nothing_behind(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=2, chunk=2)
    answers: dict[int, Answer] = {}
    for index in range(1000):
        engine.submit(index, request([1] * 9, max_tokens=20))
        collect(answers, engine.step())
        engine.cancel(index)
        assert_invariants(engine)
    finish(engine, answers)
    assert [answers[index].reason for index in range(1000)] == ["cancelled"] * 1000
    engine.cancel(3)  # ended long ago
    assert engine.is_idle
    assert not engine.rows
    assert engine.ledger.reserved_bytes == 0
    assert engine.take_stats().ended == {"cancelled": 1000}


def test_garbage_beyond_a_rows_length_changes_nothing(make_engine: MakeEngine) -> None:
    wanted = request([2, 3, 4], max_tokens=10, temperature=0.0)
    clean, dirty = make_engine(), make_engine()
    for tensor in dirty.cache.tensors:
        tensor[:] = np.float16(7.0)
    assert run_alone(dirty, wanted).tokens == run_alone(clean, wanted).tokens


def test_rows_compare_by_identity() -> None:
    assert Row.__eq__ is object.__eq__, "two requests with equal fields are still two requests"
