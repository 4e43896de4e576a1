"""Reading prompts: together where it pays, from the prefix cache where it can, each as if alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.generation.engine import SlotEngine
from service.generation.prefix_cache import BLOCK_TOKENS
from service.generation.ranking import token_logprobs
from tests.service.generation.conftest import VOCABULARY, Answer, collect, request, run_alone
from tests.service.generation.invariants import assert_invariants

MakeEngine = Callable[..., SlotEngine]


def finish(engine: SlotEngine) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        collect(answers, engine.step())
        assert_invariants(engine)
    return answers


def read_sizes(engine: SlotEngine, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The lengths of the prompts that are read together from now on."""
    seen: list[list[int]] = []
    run = engine.cache.feed_first

    def spied(row: int, prompts: Sequence[np.ndarray]) -> np.ndarray:
        seen.append([len(prompt) for prompt in prompts])
        return run(row, prompts)

    monkeypatch.setattr(engine.cache, "feed_first", spied)
    return seen


@pytest.mark.parametrize(
    ("lengths", "together"),
    [
        ([4, 4, 4, 4], [[4, 4, 4, 4]]),
        ([4, 4, 4, 4, 4, 4], [[4, 4, 4, 4]]),  # the rest finds no slot in that step
        ([10, 10], []),  # more than a chunk
        ([2, 7], []),  # more padding than it saves
        ([4, 1, 4], []),  # single tokens are computed on another path
        ([8, 8, 3], [[8, 8]]),
    ],
)
def test_short_prompts_of_similar_length_are_read_together(
    make_engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    lengths: list[int],
    together: list[list[int]],
) -> None:
    engine = make_engine(slots=4, chunk=16)
    seen = read_sizes(engine, monkeypatch)
    rng = np.random.default_rng(1)
    wanted = [
        request(rng.integers(0, VOCABULARY, size).tolist(), max_tokens=5, temperature=0.0)
        for size in lengths
    ]
    for index, entry in enumerate(wanted):
        engine.submit(index, entry)
    answers = finish(engine)
    assert seen[: len(together)] == together
    if not together:
        assert seen == []
    alone = make_engine(slots=1)
    for index, entry in enumerate(wanted):
        assert answers[index].tokens == run_alone(alone, entry).tokens


def test_a_prompt_that_breaks_a_common_run_fails_alone(make_engine: MakeEngine) -> None:
    engine = make_engine(slots=4, chunk=16)
    wanted = [request([index + 1] * 4, max_tokens=5, temperature=0.0) for index in range(4)]
    for index, entry in enumerate(wanted):
        engine.submit(index, entry)
    broken = engine.requests.find(1)
    assert broken is not None
    broken.prompt[2] = VOCABULARY + 5  # what ONNX Runtime refuses in the middle of a run
    answers = finish(engine)
    assert answers[1].reason == "error"
    alone = make_engine(slots=1)
    for index in (0, 2, 3):
        assert answers[index].tokens == run_alone(alone, wanted[index]).tokens


def long_prompt(seed: int = 0, tokens: int = 70) -> list[int]:
    found: list[int] = np.random.default_rng(seed).integers(0, VOCABULARY, tokens).tolist()
    return found


def test_a_prompt_that_was_read_before_is_copied_and_answered_alike(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine(chunk=16, prefix_cache_bytes=1 << 20)
    wanted = request(long_prompt(), max_tokens=6, temperature=0.0)
    first = run_alone(engine, wanted)
    again = run_alone(engine, wanted)
    assert again.tokens == first.tokens == run_alone(make_engine(), wanted).tokens
    assert [answer.events[0].cached_tokens for answer in (first, again)] == [0, 64]
    stats = engine.take_stats()
    assert (stats.prefix_misses, stats.prefix_hits, stats.prefix_hit_tokens) == (1, 1, 64)
    assert stats.prefill_tokens == 70 + 6


def test_another_salt_shares_nothing(make_engine: MakeEngine) -> None:
    engine = make_engine(chunk=16, prefix_cache_bytes=1 << 20)
    wanted = request(long_prompt(), max_tokens=2)
    run_alone(engine, replace(wanted, cache_salt="a"))
    other = run_alone(engine, replace(wanted, cache_salt="b"))
    assert other.events[0].cached_tokens == 0


def test_keys_and_values_of_answers_are_never_kept(make_engine: MakeEngine) -> None:
    """They were computed token by token, on the kernel's other path."""
    engine = make_engine(chunk=16, prefix_cache_bytes=1 << 20)
    prompt = long_prompt(tokens=BLOCK_TOKENS - 2)  # the answer would fill the block
    answer = run_alone(engine, request(prompt, max_tokens=20, temperature=0.0)).tokens
    assert len(engine.prefixes) == 0
    follow = request([*prompt, *answer], max_tokens=4, temperature=0.0)
    assert run_alone(engine, follow).events[0].cached_tokens == 0


def test_prompt_scores_are_those_of_the_whole_prompt(make_engine: MakeEngine) -> None:
    wanted = request(long_prompt(tokens=21), max_tokens=4, temperature=0.0)
    scored = replace(wanted, prompt_logprobs=2)
    for chunk in (2, 8, 64):
        engine = make_engine(chunk=chunk, prefix_cache_bytes=1 << 20)
        answer = run_alone(engine, scored)
        assert answer.tokens == run_alone(make_engine(), wanted).tokens
        first, *later = answer.events
        assert not any(event.prompt_logprobs for event in later)
        assert first.prompt_logprobs[0] is None
        logits = engine.cache.feed_scored(0, 0, np.array(wanted.prompt_ids, np.int64))
        for given, line, token in zip(
            first.prompt_logprobs[1:], logits, wanted.prompt_ids[1:], strict=False
        ):
            exact = token_logprobs(line, token, 2)
            assert given is not None
            assert given.logprob == pytest.approx(exact.logprob, abs=0.05)
            assert len(given.top) == 2
        assert len(first.prompt_logprobs) == 21


def test_the_first_event_says_how_the_request_was_taken_in(make_engine: MakeEngine) -> None:
    now = [0.0]
    engine = make_engine(slots=1, chunk=8, clock=lambda: now[0])
    engine.submit(0, request([1, 2], max_tokens=3))
    engine.submit(1, request([1] * 20, max_tokens=2))
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        collect(answers, engine.step())
        now[0] += 1.0
    first = answers[1].events[0]
    assert (first.queue_s, first.prefill_s) == (2.0, 2.0)  # two steps of another, three chunks
    assert answers[1].events[1].queue_s is None
