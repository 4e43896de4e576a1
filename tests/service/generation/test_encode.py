"""Sources are read on admission, together where that changes nothing, and one that fails fails alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest
from service.generation.encoder_graph import EncoderGraph, Source
from tests.service.generation.conftest import Answer, collect, run_alone
from tests.service.generation.translators import (
    LONGEST_SOURCE,
    Translator,
    asked,
    translator,
)


@pytest.fixture(scope="module")
def model() -> Translator:
    return translator("transformer")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sources each run of an encoder has read."""
    counts: list[int] = []
    read = EncoderGraph.read

    def counted(self: EncoderGraph, sources: Sequence[Any]) -> list[Source]:
        counts.append(len(sources))
        return read(self, sources)

    monkeypatch.setattr(EncoderGraph, "read", counted)
    return counts


def source(size: int, seed: int = 0) -> list[int]:
    return np.random.default_rng([seed, size]).integers(0, 256, size).tolist()


def test_what_is_read_together_is_bit_for_bit_what_is_read_alone(model: Translator) -> None:
    sources = [np.array(source(size)) for size in (17, 20, 32, 25)]
    together = model.encoder.read(sources)
    for own, left in zip(sources, together, strict=True):
        [alone] = model.encoder.read([own])
        assert all(np.array_equal(a, b) for a, b in zip(alone, left, strict=True))


def test_an_idle_engine_reads_all_of_one_padded_length_at_once(
    model: Translator, runs: list[int]
) -> None:
    engine = model.engine(slots=6, chunk=32)
    for index, size in enumerate((17, 20, 32, 5)):
        engine.submit(index, asked(source(size)))
    engine.step()
    assert runs == [3]


def test_while_others_decode_a_step_reads_no_more_than_a_chunk(
    model: Translator, runs: list[int]
) -> None:
    engine = model.engine(slots=6, chunk=32)
    engine.submit(0, asked(source(5), ignore_stop=True))
    engine.step()
    for index, size in enumerate((3, 4, 5, 70), 1):
        engine.submit(index, asked(source(size), ignore_stop=True))
    for _ in range(3):
        engine.step()
    assert runs == [1, 2, 1, 1], "two of sixteen, one of sixteen, and the long one by itself"


def test_a_longer_source_that_joins_leaves_the_others_answers_as_they_are(
    model: Translator,
) -> None:
    wanted = {0: asked(source(4), max_tokens=16), 1: asked(source(70), max_tokens=16)}
    engine = model.engine(slots=3)
    answers: dict[int, Answer] = {}
    engine.submit(0, wanted[0])
    for _ in range(3):
        collect(answers, engine.step())
    assert engine.cache.source is not None
    narrow = engine.cache.source.width
    engine.submit(1, wanted[1])
    while not engine.is_idle:
        collect(answers, engine.step())
    assert engine.cache.source.width > narrow
    for index, request in wanted.items():
        assert answers[index].tokens == list(model.reference(request).tokens)


def test_a_source_that_breaks_the_encoder_fails_alone(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, read = 7, EncoderGraph.read

    def breaking(self: EncoderGraph, sources: Sequence[Any]) -> list[Source]:
        if any(len(entry) == bad for entry in sources):
            raise RuntimeError("the run broke")
        return read(self, sources)

    monkeypatch.setattr(EncoderGraph, "read", breaking)
    engine = model.engine()
    wanted = {index: asked(source(size)) for index, size in enumerate((5, bad, 9))}
    for index, request in wanted.items():
        engine.submit(index, request)
    answers: dict[int, Answer] = {}
    while not engine.is_idle:
        collect(answers, engine.step())
    assert answers[1].events[-1].error == "the model failed on this text"
    for index in (0, 2):
        assert answers[index].tokens == list(model.reference(wanted[index]).tokens)
    assert (engine.ledger.places, engine.ledger.reserved_bytes) == (0, 0)


def test_a_source_whose_numbers_overflow_fails_alone_and_leaves_nothing_behind(
    model: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = EncoderGraph.read

    def overflowing(self: EncoderGraph, sources: Sequence[Any]) -> list[Source]:
        left = read(self, sources)
        left[0][1][0, 0, 0] = np.inf
        return left

    engine, request = model.engine(slots=1), asked(source(6))
    with monkeypatch.context() as patch:
        patch.setattr(EncoderGraph, "read", overflowing)
        assert "not finite" in str(run_alone(engine, asked(source(9))).events[-1].error)
    assert run_alone(engine, request).tokens == list(model.reference(request).tokens)


@pytest.mark.parametrize("size", [0, LONGEST_SOURCE + 1])
def test_a_source_that_is_too_long_or_none_is_refused_with_the_limit(
    model: Translator, size: int
) -> None:
    with pytest.raises(BadRequest, match=f"{size} tokens.*{LONGEST_SOURCE}"):
        model.engine().submit(0, asked(source(size)))


def test_what_sources_take_is_part_of_what_the_engine_reports(model: Translator) -> None:
    engine = model.engine(slots=5)
    ledger = engine.ledger
    engine.submit(0, asked(source(9), num_beams=3, ignore_stop=True))
    engine.step()
    stats = engine.take_stats()
    assert stats.kv_total_bytes == ledger.total_bytes + 5 * ledger.source_bytes
    assert stats.kv_reserved_bytes == ledger.reserved_bytes + 3 * ledger.source_bytes
    assert stats.prefill_tokens == 9
