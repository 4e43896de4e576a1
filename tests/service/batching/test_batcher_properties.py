"""Whatever arrives, leaves, fails or expires in whatever order: one outcome each, and the right one.

Time is simulated, so a run is the same every time. Poison is a value that fails whatever run holds it,
a lost worker is not the items' fault, and a caller may leave at any moment.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InferenceFailed, InputRefused, SlipwayError
from models.manifest import Batching, Manifest, QueuePolicy
from service.batching.batcher import Batcher, BatchLimits, limits_of
from service.batching.ticket import Ticket
from service.errors import Cancelled, DeadlineExceeded, QueueFull, WorkerLost
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.batching.test_batcher import text_manifest
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

POISON = -1


@dataclass(frozen=True)
class Arrival:
    """A request of `rows` rows, `length` long where that varies, `after_ms` behind the one before it. It
    leaves `leaves_ms` after it came, if it does, and has `timeout_ms`, if any."""

    rows: int
    length: int
    after_ms: int
    priority: int
    is_poisoned: bool
    leaves_ms: int | None
    timeout_ms: int | None


def rarely(strategy: st.SearchStrategy[int]) -> st.SearchStrategy[int | None]:
    return st.one_of(st.none(), st.none(), strategy)


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        rows=st.integers(1, 9),
        length=st.integers(1, 40),
        after_ms=st.sampled_from([0, 0, 0, 1, 5, 30]),
        priority=st.integers(0, 4),
        is_poisoned=st.sampled_from([False, False, False, False, True]),
        leaves_ms=rarely(st.integers(0, 40)),
        timeout_ms=rarely(st.integers(1, 60)),
    ),
    max_size=25,
)

POLICIES = st.builds(
    QueuePolicy,
    max_queue_size=st.just(60),
    default_timeout_microseconds=st.sampled_from([0, 0, 20_000]),
    timeout_action=st.sampled_from(["REJECT", "DELAY"]),
)
LIMITS = st.builds(
    limits_of,
    st.builds(
        Batching,
        max_batch_size=st.integers(1, 8),
        max_queue_delay_microseconds=st.sampled_from([0, 0, 4_000, 50_000]),
        preferred_batch_size=st.sampled_from([(), (), (2, 4)]),
        allowed_batch_sizes=st.sampled_from([(), (), (1, 2, 4, 8)]),
        max_batch_tokens=st.sampled_from([0, 50]),
        priority_levels=st.sampled_from([0, 3]),
        default_queue_policy=POLICIES,
    ),
    workers=st.integers(1, 3),
    latency_target_s=st.sampled_from([0.0, 0.0, 0.002, 0.05]),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    """Thousands of batches fail here on purpose."""
    log = logging.getLogger("slipway.batcher")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)


@dataclass
class Worker:
    """Doubles; a run costs a fixed time and more per element, whatever its neighbours are."""

    losses: set[int]
    fixed_ms: int
    runs: int = 0
    largest: int = 0

    async def __call__(self, inputs: Arrays) -> RunResult:
        self.runs += 1
        number, array = self.runs, inputs["x"]
        self.largest = max(self.largest, len(array))
        seconds = (self.fixed_ms + 0.05 * array.size) / 1e3
        await asyncio.sleep(seconds)
        if number in self.losses:
            raise WorkerLost("gone")
        if (array == POISON).any():
            raise InputRefused("poison")
        return RunResult({"y": array * 2}, seconds)


Make = Callable[[int, Arrival], Arrays]


class Play:
    """One performance: who was accepted, and what each was told, how often."""

    def __init__(self, worker: Worker, limits: BatchLimits, manifest: Manifest, make: Make) -> None:
        self.meters = ModelMeters("m", 1)
        self.worker = worker
        self.limits = limits
        self.manifest = manifest
        self.make = make
        self.accepted: list[tuple[int, Arrival, Ticket]] = []
        self.told: list[Ticket] = []

    async def perform(self, arrivals: list[Arrival]) -> None:
        loop = asyncio.get_running_loop()
        batcher = Batcher(self.worker, self.manifest, self.limits, self.meters, loop.time)
        for number, arrival in enumerate(arrivals):
            await asyncio.sleep(arrival.after_ms / 1e3)
            timeout_ms = arrival.timeout_ms
            try:
                ticket = batcher.enqueue(
                    self.make(number, arrival),
                    arrival.rows,
                    deadline=loop.time() + timeout_ms / 1e3 if timeout_ms else None,
                    priority=arrival.priority,
                    on_done=self.told.append,
                )
            except QueueFull:
                continue
            self.accepted.append((number, arrival, ticket))
            if arrival.leaves_ms is not None:
                loop.call_later(arrival.leaves_ms / 1e3, ticket.cancel)
        await batcher.close()
        assert batcher.pending_rows == 0
        assert batcher.is_alive

    def check(self) -> None:
        tickets = [ticket for *_, ticket in self.accepted]
        assert sorted(map(id, self.told)) == sorted(map(id, tickets)), "not one outcome each"
        answered = [ticket for ticket in tickets if ticket.outputs is not None]
        failed = [ticket for ticket in tickets if ticket.error is not None]
        assert len(answered) + len(failed) == len(tickets)
        for number, arrival, ticket in self.accepted:
            if ticket.error is None:
                self.check_answer(number, arrival, ticket)
            else:
                self.check_failure(arrival, ticket.error)
        assert self.worker.largest <= self.limits.max_batch_size

    def check_answer(self, number: int, arrival: Arrival, ticket: Ticket) -> None:
        assert not arrival.is_poisoned
        assert ticket.outputs is not None
        expected = self.make(number, arrival)["x"] * 2
        assert ticket.outputs["y"].tobytes() == expected.tobytes(), "somebody else's answer"
        assert ticket.outputs["y"].shape == expected.shape

    def check_failure(self, arrival: Arrival, error: SlipwayError) -> None:
        """Only what this request itself brought about, or a lost worker, may be the reason."""
        if isinstance(error, Cancelled):
            assert arrival.leaves_ms is not None
        elif isinstance(error, DeadlineExceeded):
            has_queue_timeout = self.limits.queue_timeout_s is not None
            assert arrival.timeout_ms or (has_queue_timeout and not self.limits.delays_late)
        elif isinstance(error, InputRefused):
            assert arrival.is_poisoned
        elif isinstance(error, QueueFull):  # it gave its place to one that is more urgent
            level = arrival.priority or self.limits.default_priority_level
            assert level > 1
            assert self.limits.priority_levels > 1
        else:
            assert isinstance(error, WorkerLost)
            assert self.worker.losses


def numbers(number: int, arrival: Arrival) -> Arrays:
    """Every request its own value, every row another one."""
    array = np.arange(2 * arrival.rows, dtype=np.float32).reshape(-1, 2) + 100 * (number + 1)
    if arrival.is_poisoned:
        array[-1] = POISON
    return {"x": array}


def texts(number: int, arrival: Arrival) -> Arrays:
    shape = (arrival.rows, arrival.length)
    array = np.arange(arrival.rows * arrival.length).reshape(shape) + 1000 * (number + 1)
    if arrival.is_poisoned:
        array[-1, -1] = POISON
    return {"x": array, "mask": np.ones(shape, np.int64)}


@settings(max_examples=150, deadline=None)
@given(ARRIVALS, st.sets(st.integers(1, 12), max_size=3), st.sampled_from([0, 1, 8]), LIMITS)
def test_every_accepted_request_gets_one_outcome_and_its_own_bits(
    arrivals: list[Arrival], losses: set[int], fixed_ms: int, limits: BatchLimits
) -> None:
    play = Play(Worker(losses, fixed_ms), limits, vector(2), numbers)
    run_virtually(play.perform(arrivals))
    play.check()


@settings(max_examples=100, deadline=None)
@given(ARRIVALS, st.sets(st.integers(1, 12), max_size=3), st.sampled_from([0, 1, 8]), LIMITS)
def test_the_same_holds_for_items_of_different_length_that_are_padded(
    arrivals: list[Arrival], losses: set[int], fixed_ms: int, limits: BatchLimits
) -> None:
    play = Play(Worker(losses, fixed_ms), limits, text_manifest(), texts)
    run_virtually(play.perform(arrivals))
    play.check()


@settings(max_examples=50, deadline=None)
@given(ARRIVALS, LIMITS)
def test_a_defect_at_any_point_leaves_nobody_without_an_outcome(
    arrivals: list[Arrival], limits: BatchLimits
) -> None:
    """A run that ends in an error that nobody foresaw, and answers of a wrong number of rows."""

    async def run(inputs: Arrays) -> RunResult:
        await asyncio.sleep(0.001)
        if len(inputs["x"]) % 3 == 0:
            raise ZeroDivisionError
        rows = len(inputs["x"]) + (len(inputs["x"]) % 2 == 0)
        return RunResult({"y": np.zeros((rows, 2), np.float32)}, 0.001)

    play = Play(Worker(set(), 0), limits, vector(2), numbers)
    play.worker = run  # type: ignore[assignment]
    run_virtually(play.perform(arrivals))
    assert sorted(map(id, play.told)) == sorted(id(ticket) for *_, ticket in play.accepted)
    for *_, ticket in play.accepted:
        assert isinstance(ticket.error, SlipwayError) or ticket.outputs is not None
        assert not isinstance(ticket.error, InferenceFailed) or ticket.outputs is None
