"""Encoder–decoders: whatever else runs, every request gets what measuring's own search finds for it alone.

Every schedule draws arrivals, cancels, deadlines, priorities, slots, memory and chunk size, with greedy,
drawn and beam requests mixed. After every step the state is checked against the numbered invariants and
all of the caches that must not be read is overwritten with NaN.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from service.errors import QueueFull
from service.generation.engine import SlotEngine
from service.generation.request import GenerationRequest
from service.generation.row import Row
from service.generation.source_cache import SourceCache
from service.generation.source_memory import HostSourceMemory
from tests.service.generation.conftest import Answer, collect, run_alone
from tests.service.generation.translators import VOCABULARY, Translator, asked, translator

SCHEDULES = 40
_KINDS = 40
_SLOTS = 7
_TO_MEET = ("stop", "length", "cancelled", "deadline", "displaced", "beams", "together")


@pytest.fixture(scope="module")
def model() -> Translator:
    return translator("transformer")


@pytest.fixture(scope="module")
def requests() -> list[GenerationRequest]:
    rng = np.random.default_rng(21)
    return [random_request(rng) for _ in range(_KINDS)]


def random_request(rng: np.random.Generator) -> GenerationRequest:
    source = rng.integers(0, VOCABULARY, int(rng.choice([3, 15, 16, 17, 33, 70]))).tolist()
    sampling: dict[str, object] = {"max_tokens": int(rng.integers(1, 14))}
    kind = rng.integers(3)
    if kind == 0:
        sampling |= {
            "num_beams": int(rng.integers(2, 5)),
            "length_penalty": float(rng.choice([-1.0, 0.0, 1.0, 2.0])),
        }
    elif kind == 1:
        sampling |= {"temperature": 0.8, "top_k": 20, "seed": int(rng.integers(1000))}
    wanted = asked(source, **sampling)
    return replace(wanted, priority=int(rng.integers(0, 3)))


def expected(
    model: Translator, wanted: GenerationRequest, alone: SlotEngine
) -> tuple[list[int], str]:
    if wanted.sampling.temperature:
        answer = run_alone(alone, wanted)
        return answer.tokens, str(answer.reason)
    beam = model.reference(wanted)
    return list(beam.tokens), "stop" if beam.has_stopped else "length"


def kept_of(source: SourceCache) -> list[np.ndarray]:
    assert isinstance(source.memory, HostSourceMemory)
    return source.memory.tensors


def assert_invariants(engine: SlotEngine) -> None:
    cache, ledger = engine.cache, engine.ledger
    assert cache.source is not None
    held: Counter[Row] = Counter()
    for index, row in enumerate(engine.rows):
        assert not row.ended
        assert cache.lengths[index] == len(row.prompt) + len(row.answer) - 1
        assert cache.ids[index] == (row.answer[-1] if row.answer else row.prompt[-1])
        assert row.source is not None
        size = len(row.source)
        assert cache.source.lengths[index] == size <= cache.source.width
        assert not any(tensor[index, :, size:].any() for tensor in kept_of(cache.source))
        held[row if row.beams is None else row.beams.request] += 1
    assert engine.lane is None
    assert all(count <= row.places for row, count in held.items())
    assert len(engine.requests) == len(held) + len(engine.waiting)
    assert sum(row.places for row in held) == ledger.places <= engine.limits.slots
    assert sum(map(ledger.row_bytes, held)) == ledger.reserved_bytes <= ledger.total_bytes
    assert engine.slots.committed_bytes <= ledger.total_bytes


def poison(engine: SlotEngine) -> None:
    assert engine.cache.source is not None
    count = len(engine.rows)
    lengths = [*engine.cache.lengths[:count].tolist(), *[0] * (engine.limits.slots - count)]
    for tensor in engine.cache.tensors:
        for place, length in enumerate(lengths):
            tensor[place, :, length:] = np.nan
    for tensor in kept_of(engine.cache.source):
        tensor[count:] = np.nan


def run(
    engine: SlotEngine,
    wanted: list[GenerationRequest],
    rng: np.random.Generator,
    now: list[float],
    met: Counter[str],
) -> dict[int, Answer]:
    answers: dict[int, Answer] = {}
    arrivals = np.sort(rng.choice(rng.integers(0, 12, 4), len(wanted)))
    cancels = {int(k): int(rng.integers(0, 20)) for k in rng.permutation(len(wanted))[:2]}
    late = {int(k): float(rng.integers(0, 10)) for k in rng.permutation(len(wanted))[:2]}
    step = 0
    while step <= arrivals[-1] or not engine.is_idle:
        now[0] = float(step)
        for index in np.flatnonzero(arrivals == step).tolist():
            try:
                engine.submit(index, replace(wanted[index], deadline_s=late.get(index)))
            except QueueFull:
                answers[index] = Answer([], [])
        for index in [k for k, moment in cancels.items() if moment == step]:
            engine.cancel(index)
            assert_invariants(engine)
        before = len(engine.requests) - len(engine.waiting)
        collect(answers, engine.step())
        met["together"] += len(engine.requests) - len(engine.waiting) > before + 1
        met["beams"] += any(
            row.beams is not None and len(row.beams.rows) > 1 for row in engine.rows
        )
        assert_invariants(engine)
        poison(engine)
        step += 1
    return answers


def test_any_schedule_gives_every_request_what_the_reference_finds_for_it_alone(
    model: Translator, requests: list[GenerationRequest]
) -> None:
    alone = model.engine(slots=1)
    found: dict[int, tuple[list[int], str]] = {}
    met: Counter[str] = Counter()
    for number in range(SCHEDULES):
        rng, now = np.random.default_rng([3, number]), [0.0]
        slots = int(rng.integers(4, _SLOTS + 1))
        memory = 0
        if slots > 4 and rng.random() < 0.5:  # not for all of them, but for a search of four beams
            memory = model.engine(slots=slots).take_stats().kv_total_bytes - 20_000
        engine = model.engine(
            slots=slots,
            waiting=int(rng.choice([3, 1000])),
            chunk=int(rng.choice([2, 32, 64])),
            clock=lambda now=now: now[0],  # type: ignore[misc]
            kv_memory_bytes=memory,
            priority_levels=int(rng.choice([0, 3])),
        )
        kinds = rng.integers(0, _KINDS, int(rng.integers(4, 12))).tolist()
        answers = run(engine, [requests[kind] for kind in kinds], rng, now, met)
        met.update(engine.take_stats().ended)
        assert sorted(answers) == list(range(len(kinds))), number
        for index, given in answers.items():
            if kinds[index] not in found:
                found[kinds[index]] = expected(model, requests[kinds[index]], alone)
            tokens, reason = found[kinds[index]]
            if given.reason in ("stop", "length"):
                assert (given.tokens, given.reason) == (tokens, reason), (number, index)
            else:
                assert given.tokens == tokens[: len(given.tokens)], (number, index)
    assert not [word for word in _TO_MEET if not met[word]], "the schedules cover too little"
