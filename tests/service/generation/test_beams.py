"""Beam search in the slots finds what measuring's search does, and moves no more of the cache than needed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest
from service.generation.engine import SlotEngine
from service.generation.request import GenerationEvent
from tests.service.generation.conftest import Answer, collect, run_alone
from tests.service.generation.translators import KINDS, STOPS, Translator, asked, translator

SOURCE = [200, 90, 41, 77, 130, 55, 66]


@pytest.fixture(scope="module")
def model() -> Translator:
    return translator("transformer")


def sources(count: int) -> list[list[int]]:
    rng = np.random.default_rng(8)
    return [rng.integers(0, 256, int(rng.integers(1, 70))).tolist() for _ in range(count)]


def all_of(engine: SlotEngine) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        collect(answers, engine.step())
    return answers


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k == "transformer" else pytest.mark.slow) for k in KINDS]
)
def test_greedy_and_beams_of_every_network_equal_the_reference(kind: str) -> None:
    model = translator(kind)
    engine = model.engine(slots=8)
    wanted = {
        index: asked(
            source,
            num_beams=(1, 2, 4, 8)[index % 4],
            length_penalty=(1.0, 0.0, 2.0)[index % 3],
            max_tokens=(3, 12, 20)[index % 3],
            logprobs=0 if index % 4 == 0 else None,
        )
        for index, source in enumerate(sources(16))
    }
    for index, request in wanted.items():
        engine.submit(index, request)
    for index, answer in all_of(engine).items():
        expected = model.reference(wanted[index])
        assert answer.tokens == list(expected.tokens), index
        assert (answer.reason == "stop") == expected.has_stopped
        score = answer.events[-1].score
        assert score is not None
        if wanted[index].sampling.num_beams > 1:
            assert score == pytest.approx(expected.score, abs=1e-3)


def last(engine: SlotEngine, **sampling: Any) -> GenerationEvent:
    return run_alone(engine, asked(SOURCE, **sampling)).events[-1]


def test_the_next_best_answers_are_reported_in_their_order(model: Translator) -> None:
    found = last(model.engine(), num_beams=4, n=3)
    scores = [found.score, *(other.score for other in found.alternatives)]
    assert len(found.alternatives) == 2
    assert scores == sorted(scores, reverse=True)
    assert len({found.token_ids, *(other.token_ids for other in found.alternatives)}) == 3


def test_a_greedy_answers_score_is_that_of_the_same_beam(model: Translator) -> None:
    greedy = run_alone(model.engine(), asked(SOURCE, logprobs=0, length_penalty=0.7))
    logprobs = [entry.logprob for event in greedy.events for entry in event.logprobs]
    ended = greedy.reason == "stop"
    count = len(logprobs) + ended
    score = greedy.events[-1].score
    assert score is not None
    assert score * count**0.7 <= sum(logprobs) + 1e-6
    if not ended:
        assert score * count**0.7 == pytest.approx(sum(logprobs))


def test_before_min_tokens_no_beam_ends(model: Translator) -> None:
    for source in sources(6):
        answer = run_alone(model.engine(), asked(source, num_beams=3, min_tokens=9, max_tokens=15))
        assert len(answer.tokens) >= 9
        assert not set(answer.tokens) & set(STOPS)


def test_a_cancelled_search_frees_every_place_and_hurts_nobody(model: Translator) -> None:
    engine = model.engine(slots=6)
    engine.submit(0, asked(SOURCE, num_beams=4, ignore_stop=True, max_tokens=20))
    other = asked(SOURCE[::-1], max_tokens=12)
    engine.submit(1, other)
    for _ in range(4):
        engine.step()
    assert len(engine.rows) == 5
    engine.cancel(0)
    assert len(engine.rows) == engine.ledger.places == 1
    assert all_of(engine)[1].reason in ("stop", "length")
    assert engine.ledger.reserved_bytes == 0
    assert run_alone(engine, other).tokens == list(model.reference(other).tokens)


def test_beams_wait_for_places_and_no_more_run_than_there_are(model: Translator) -> None:
    engine = model.engine(slots=5)
    for index in range(4):
        engine.submit(index, asked(SOURCE, num_beams=4, ignore_stop=True, max_tokens=6))
    engine.step()
    assert (engine.ledger.places, len(engine.waiting)) == (4, 3)
    assert {answer.reason for answer in all_of(engine).values()} == {"length"}


def test_only_what_two_beams_do_not_share_is_copied(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = model.engine(slots=4)
    copied, moved = [], []
    copy, move = engine.cache.copy, engine.cache.move
    monkeypatch.setattr(engine.cache, "copy", counting(copied, copy))
    monkeypatch.setattr(engine.cache, "move", counting(moved, move))
    request = asked(SOURCE, num_beams=4, ignore_stop=True, max_tokens=24)
    assert run_alone(engine, request).tokens == list(reference_without_stops(model, request))
    assert len(moved) == 3, "one to each place that the search grows into"
    reordered = [given for given in copied if given[2] > 0]
    assert reordered
    positions = sum(stop - start for _, _, start, stop in reordered)
    assert positions < sum(stop for *_, stop in reordered) / 2


def counting(calls: list[Any], run: Callable[..., None]) -> Callable[..., None]:
    def counted(*given: Any) -> None:
        calls.append(given)
        run(*given)

    return counted


def reference_without_stops(model: Translator, request: Any) -> tuple[int, ...]:
    from training.decoding import Writing, search, source_step

    step = source_step([np.array(request.source_ids)], model.predict, model.network.sizes)
    params = request.sampling
    return search(step, 1, Writing(0, (), params.max_tokens, params.num_beams))[0].tokens


def test_logits_that_are_no_numbers_end_one_search_alone(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = model.engine(slots=6)
    engine.submit(0, asked(SOURCE, num_beams=3, ignore_stop=True))
    engine.submit(1, asked(SOURCE[::-1], ignore_stop=True))
    for _ in range(2):
        engine.step()
    decode = engine.cache.decode

    def broken(count: int) -> Any:
        logits = decode(count)
        hurt = [i for i, row in enumerate(engine.rows) if row.beams is not None]
        logits[hurt[1]] = np.nan
        return logits

    monkeypatch.setattr(engine.cache, "decode", broken)
    told = dict(engine.step())
    assert told[0].finish_reason == "error"
    assert "not finite" in str(told[0].error)
    assert told[1].finish_reason is None
    monkeypatch.setattr(engine.cache, "decode", decode)
    assert len(engine.rows) == engine.ledger.places == 1
    assert all_of(engine)[1].reason == "length"


def test_a_beam_that_breaks_the_run_fails_its_request_and_the_others_keep_their_token(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = model.engine(slots=6)
    other = asked(SOURCE[::-1], max_tokens=9)
    engine.submit(0, asked(SOURCE, num_beams=3, ignore_stop=True))
    engine.submit(1, other)
    engine.step()
    engine.step()
    feed = engine.cache.feed

    def fails(*_: object) -> Any:
        raise RuntimeError("the run broke")

    def feeds(row: int, cached: int, tokens: Any) -> Any:
        return fails() if engine.rows[row].beams is not None else feed(row, cached, tokens)

    answers: dict[int, Answer] = {}
    with monkeypatch.context() as patch:
        patch.setattr(engine.cache, "decode", fails)
        patch.setattr(engine.cache, "feed", feeds)
        collect(answers, engine.step())
    assert answers[0].reason == "error"
    assert len(engine.rows) == 1
    assert all_of(engine)[1].reason in ("stop", "length")


@pytest.mark.parametrize(
    ("sampling", "word"),
    [
        ({"num_beams": 7}, "6 slots"),
        ({"num_beams": 2, "temperature": 0.5}, "temperature"),
        ({"num_beams": 2, "repetition_penalty": 1.5}, "repetition_penalty"),
        ({"num_beams": 2, "logprobs": 1}, "logprobs"),
    ],
)
def test_what_a_search_cannot_do_is_refused(
    model: Translator, sampling: dict[str, Any], word: str
) -> None:
    engine = model.engine(slots=6)
    with pytest.raises(BadRequest, match=word):
        engine.submit(0, asked(SOURCE, **sampling))
    assert engine.is_idle


def test_beams_that_memory_would_never_hold_are_refused_with_numbers(model: Translator) -> None:
    whole = model.engine(slots=6).take_stats().kv_total_bytes
    ledger = model.engine(slots=6).ledger
    engine = model.engine(slots=6, kv_memory_bytes=whole - 4 * ledger.bytes_of(32))
    with pytest.raises(BadRequest, match=r"4 beams of 32 tokens"):
        engine.submit(0, asked(SOURCE, num_beams=4, max_tokens=31))
    engine.submit(1, asked(SOURCE, num_beams=2, max_tokens=31))
    assert all_of(engine)[1].reason in ("stop", "length")
