"""Whatever else runs, every request gets the tokens that it gets alone: hundreds of random schedules.

Every schedule draws arrivals, cancels, deadlines, priorities, slots, chunk size, memory, prefix cache and
penalties; after every step the invariants are asserted and all of the cache that must not be read is
overwritten with NaN. The reference is the request by itself, its prompt fed whole.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from service.errors import QueueFull
from service.generation.engine import SlotEngine
from service.generation.request import GenerationRequest
from tests.service.generation.conftest import (
    CONTEXT,
    VOCABULARY,
    Answer,
    collect,
    request,
    run_alone,
)
from tests.service.generation.invariants import assert_invariants, poison

MakeEngine = Callable[..., SlotEngine]

SCHEDULES = 320
_GROUPS = 8
_ROW_BYTES = 32_768  # the longest request that the tiny model's context allows, in whole pages
_TO_MEET = (
    "stop", "length", "cancelled", "deadline", "displaced", "together", "hit", "evicted",
)  # fmt: skip
_KINDS = 120  # different requests, of which every schedule draws some


@pytest.fixture(scope="module")
def requests() -> list[GenerationRequest]:
    rng = np.random.default_rng(11)
    openings = rng.integers(0, VOCABULARY, (3, 64)).tolist()
    return [random_request(rng, openings) for _ in range(_KINDS)]


@pytest.fixture(scope="module")
def expected() -> dict[int, Answer]:
    """The answers alone, by the request's number; filled as they are needed."""
    return {}


def random_request(rng: np.random.Generator, openings: list[list[int]]) -> GenerationRequest:
    if rng.random() < 0.25:  # a prompt that others begin with, too
        prompt = openings[int(rng.integers(3))] + rng.integers(0, VOCABULARY, 4).tolist()
    elif rng.random() < 0.5:  # short ones, which may be read together
        prompt = rng.integers(0, VOCABULARY, rng.integers(4, 7)).tolist()
    else:
        prompt = rng.integers(0, VOCABULARY, rng.integers(1, 40)).tolist()
    sampling: dict[str, object] = {"max_tokens": int(rng.integers(1, 18)), "temperature": 0.0}
    if rng.random() < 0.5:
        sampling |= {
            "temperature": float(rng.uniform(0.3, 2.0)),
            "top_k": int(rng.integers(0, 20)),
            "top_p": float(rng.uniform(0.5, 1.0)),
            "seed": int(rng.integers(-(2**60), 2**60)),
        }
    if rng.random() < 0.3:
        sampling["stop_token_ids"] = tuple(rng.integers(0, VOCABULARY, 2).tolist())
    if rng.random() < 0.3:
        sampling |= {"frequency_penalty": 0.5, "repetition_penalty": 1.2, "min_tokens": 1}
    return replace(request(prompt, **sampling), priority=int(rng.integers(0, 4)))


@dataclass
class Schedule:
    """What happens when, in steps, which are the seconds of the engine's clock as well."""

    numbers: list[int]
    arrivals: list[int]
    cancels: dict[int, int]
    deadlines: dict[int, float]
    refused: set[int] = field(default_factory=set)
    answers: dict[int, Answer] = field(default_factory=dict)

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Schedule":
        count = int(rng.integers(4, 16))
        some = rng.permutation(count)
        return cls(
            rng.integers(0, _KINDS, count).tolist(),
            np.sort(rng.choice(rng.integers(0, 25, 5), count)).tolist(),  # in bursts
            {int(k): int(rng.integers(0, 40)) for k in some[: count // 4]},
            {int(k): float(rng.integers(0, 30)) for k in some[-(count // 4) :]},
        )

    def run(self, engine: SlotEngine, now: list[float], wanted: list[GenerationRequest]) -> None:
        step = 0
        while step <= self.arrivals[-1] or not engine.is_idle:
            now[0] = float(step)
            for index in np.flatnonzero(np.array(self.arrivals) == step).tolist():
                timed = replace(wanted[self.numbers[index]], deadline_s=self.deadlines.get(index))
                try:
                    engine.submit(index, timed)
                except QueueFull:
                    self.refused.add(index)
            for index, moment in self.cancels.items():
                if moment == step:
                    engine.cancel(index)
                    assert_invariants(engine)
            collect(self.answers, engine.step())
            assert_invariants(engine)
            poison(engine)
            step += 1


def random_engine(
    rng: np.random.Generator, make_engine: MakeEngine, now: list[float]
) -> SlotEngine:
    slots = int(rng.integers(1, 7))
    some = int(rng.integers(1, slots + 1))  # places that there is memory for
    return make_engine(
        slots=slots,
        chunk=int(rng.choice([2, 3, 8, 16, 64])),
        waiting=int(rng.choice([3, 1000])),
        clock=lambda: now[0],
        kv_memory_bytes=some * _ROW_BYTES,
        prefix_cache_bytes=int(rng.choice([0, 20_000, 20_000, 1 << 20])),
        priority_levels=int(rng.choice([0, 3])),
    )


@pytest.mark.parametrize("group", range(_GROUPS))
def test_any_schedule_gives_every_request_the_tokens_it_gets_alone(
    make_engine: MakeEngine,
    requests: list[GenerationRequest],
    expected: dict[int, Answer],
    group: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = make_engine(slots=1, chunk=CONTEXT)
    met: Counter[str] = Counter()
    for number in range(group, SCHEDULES, _GROUPS):
        rng = np.random.default_rng([5, number])
        now = [0.0]
        schedule = Schedule.drawn(rng)
        engine = random_engine(rng, make_engine, now)
        together = counted(engine.cache.feed_first, met)
        monkeypatch.setattr(engine.cache, "feed_first", together)
        schedule.run(engine, now, requests)
        stats = engine.take_stats()
        met.update(stats.ended, hit=stats.prefix_hits, evicted=stats.prefix_evictions)
        answered = set(schedule.answers) | schedule.refused
        assert answered == set(range(len(schedule.numbers))), number
        for index, given in schedule.answers.items():
            kind = schedule.numbers[index]
            if kind not in expected:
                expected[kind] = run_alone(alone, requests[kind])
            check(given, expected[kind], (number, index))
    rare = [word for word in _TO_MEET if not met[word]]
    assert not rare, "the schedules cover too little"


def counted(run: Callable[..., object], met: Counter[str]) -> Callable[..., object]:
    def together(*given: object) -> object:
        met["together"] += 1
        return run(*given)

    return together


def check(given: Answer, alone: Answer, where: object) -> None:
    if given.reason in ("stop", "length"):
        assert (given.tokens, given.reason) == (alone.tokens, alone.reason), where
        return
    if given.reason == "error":  # of those that waited, one gave its place to a higher priority
        assert (given.events[-1].code, given.tokens) == ("queue_full", []), where
    assert given.tokens == alone.tokens[: len(given.tokens)], where
