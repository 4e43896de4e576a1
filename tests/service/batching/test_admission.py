"""Who may wait: bounds in time and rows, priorities, and what overload does to those who were accepted.

The loads are simulated: Poisson arrivals that do not slow down when the server does, service times as
measured on CPUs and supposed for a GPU, virtual time.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from models.manifest import Batching, QueuePolicy
from service.batching.admission import Admission
from service.batching.backlog import Backlog, QueueRules
from service.batching.batcher import Batcher
from service.batching.drain import DrainRate
from service.batching.limits import BatchLimits, limits_of
from service.batching.ticket import Ticket
from service.errors import DeadlineExceeded, QueueFull
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

ROWS_PER_S = 100


class Desk:
    """An admission over a queue that empties at a known rate."""

    def __init__(self, levels: int = 0, *, is_measured: bool = True, **limits: float) -> None:
        given = {"max_queue_rows": 1000, "max_queue_wait_s": 1.0, **limits}
        self.limits = BatchLimits(priority_levels=levels, **given)  # type: ignore[arg-type]
        self.backlog = Backlog(
            QueueRules(8, levels=levels, default_level=levels and levels // 2 + 1)
        )
        self.drain = DrainRate()
        if is_measured:
            self.drain = DrainRate(ROWS_PER_S)
            self.drain.ran(1.0)
        self.dropped: list[str] = []
        self.admission = Admission(self.limits, self.backlog, self.drain, self.dropped.append)
        self.now = 10.0

    def send(self, rows: int = 1, *, priority: int = 0, timeout_s: float | None = None) -> Ticket:
        self.now += 0.001
        deadline = None if timeout_s is None else self.now + timeout_s
        self.admission.admit(rows, self.now, deadline, priority)
        ticket = Ticket({}, rows, arrived=self.now, priority=priority)
        self.backlog.push(ticket)
        return ticket

    def fill(self, priority: int = 0) -> list[Ticket]:
        """As many single rows as are let in."""
        sent = []
        while True:
            try:
                sent.append(self.send(priority=priority))
            except QueueFull:
                return sent


def test_what_waits_is_served_within_the_bound() -> None:
    assert len(Desk(max_queue_wait_s=0.5).fill()) == ROWS_PER_S / 2


def test_a_few_batches_may_wait_however_slow_the_model_is() -> None:
    assert len(Desk(max_queue_wait_s=0.001, least_queue_rows=64).fill()) == 64


def test_the_bound_on_rows_is_the_last_word() -> None:
    assert len(Desk(max_queue_wait_s=5.0, max_queue_rows=7, least_queue_rows=7).fill()) == 7


def test_before_anything_was_measured_a_burst_is_let_in() -> None:
    assert len(Desk(max_queue_wait_s=0.001, is_measured=False).fill()) == 256


def test_a_request_larger_than_the_queue_is_served_by_an_idle_server() -> None:
    desk = Desk(max_queue_rows=4)
    desk.send(rows=500)
    with pytest.raises(QueueFull):
        desk.send()


def test_a_refusal_says_when_the_queue_will_have_emptied() -> None:
    desk = Desk(max_queue_wait_s=5.0)
    desk.fill()
    with pytest.raises(QueueFull) as refused:
        desk.send()
    assert refused.value.retry_after_s is not None
    assert 5.0 <= refused.value.retry_after_s <= 7.0
    assert "500 items wait" in refused.value.message


def test_who_cannot_be_served_in_time_is_told_now() -> None:
    desk = Desk(max_queue_wait_s=2.0)
    for _ in range(50):
        desk.send()
    with pytest.raises(QueueFull):
        desk.send(timeout_s=0.3)
    desk.send(timeout_s=0.7)


def test_a_deadline_in_the_past_is_no_matter_of_room() -> None:
    desk = Desk()
    with pytest.raises(DeadlineExceeded):
        desk.send(timeout_s=-0.001)
    assert desk.dropped == ["deadline"]


def test_low_priorities_see_less_of_the_queue() -> None:
    counts = [len(Desk(levels=3, max_queue_wait_s=1.0).fill(priority=level)) for level in (1, 2, 3)]
    assert counts == [100, 75, 50]


def test_a_higher_priority_takes_the_place_of_the_newest_of_the_lowest() -> None:
    desk = Desk(levels=2, max_queue_rows=10, least_queue_rows=10)
    low = desk.fill(priority=2)
    assert len(low) == 5
    high = desk.fill(priority=1)
    assert len(high) == 10, "all that waited has made room"
    order = sorted((ticket for ticket in low if ticket.is_done), key=lambda t: t.arrived)
    assert order == low
    assert all(isinstance(ticket.error, QueueFull) for ticket in low)
    assert not any(ticket.is_done for ticket in high)


def test_nobody_is_put_out_for_a_request_that_is_refused_all_the_same() -> None:
    desk = Desk(levels=2, max_queue_rows=10, least_queue_rows=10)
    for _ in range(8):
        desk.send(priority=1)
    low = desk.send(priority=2) if desk.backlog.rows < 5 else None
    assert low is None, "the lower half is taken"
    with pytest.raises(QueueFull):
        desk.send(rows=3, priority=1)
    assert desk.backlog.rows == 8


def test_equals_do_not_put_each_other_out() -> None:
    desk = Desk(levels=2, max_queue_rows=10, least_queue_rows=10)
    first = desk.fill(priority=1)
    with pytest.raises(QueueFull):
        desk.send(priority=1)
    assert not any(ticket.is_done for ticket in first)


# -- simulated overload ------------------------------------------------------------------------------


def five_ms(rows: int) -> float:
    """A convolutional network on a CPU: batching gains nothing."""
    return 0.005 * rows


def on_gpu(rows: int) -> float:
    return 0.004 + 0.0001 * rows


@dataclass
class Load:
    seconds: Callable[[int], float]
    limits: BatchLimits
    good_s: list[float] = field(default_factory=list)
    refused: int = 0
    hints_s: list[float] = field(default_factory=list)

    def closed(self, callers: int, requests: int) -> float:
        """Answers per second of callers that wait for each other."""
        return run_virtually(self._closed(callers, requests))

    def open(self, per_s: float, requests: int) -> float:
        """Good answers per second while requests come at `per_s`, whatever becomes of them."""
        return run_virtually(self._open(per_s, requests))

    @property
    def p99_s(self) -> float:
        return float(np.quantile(self.good_s, 0.99))

    def _batcher(self) -> Batcher:
        loop, chance = asyncio.get_running_loop(), random.Random(3)

        async def run(inputs: Arrays) -> RunResult:
            took_s = self.seconds(len(inputs["x"])) * chance.uniform(0.9, 1.1)
            await asyncio.sleep(took_s + 0.0002)
            return RunResult({"y": inputs["x"]}, took_s)

        return Batcher(run, vector(2), self.limits, ModelMeters("m", 1), loop.time)

    async def _closed(self, callers: int, requests: int) -> float:
        loop, batcher, began = asyncio.get_running_loop(), self._batcher(), 0.0

        async def call() -> None:
            nonlocal began
            while len(self.good_s) < requests:
                asked = loop.time()
                await batcher.submit({"x": np.zeros(2, np.float32)})
                self.good_s.append(loop.time() - asked)
                if len(self.good_s) == requests // 5:
                    began = loop.time()

        await asyncio.gather(*(call() for _ in range(callers)))
        rate = (len(self.good_s) - requests // 5) / (loop.time() - began)
        await batcher.close()
        return rate

    async def _open(self, per_s: float, requests: int) -> float:
        loop, batcher, chance = asyncio.get_running_loop(), self._batcher(), random.Random(5)
        began, answered = loop.time(), 0

        def ended(ticket: Ticket) -> None:
            nonlocal answered
            answered += 1
            if ticket.error is None:
                self.good_s.append(loop.time() - ticket.arrived)

        for _ in range(requests):
            await asyncio.sleep(chance.expovariate(per_s))
            try:
                row = {"x": np.zeros((1, 2), np.float32)}
                batcher.enqueue(row, 1, deadline=loop.time() + 30.0, on_done=ended)
            except QueueFull as full:
                self.hints_s.append(full.retry_after_s or 0.0)
                self.refused += 1
        await batcher.close()
        assert answered + self.refused == requests
        return len(self.good_s) / (loop.time() - began)


LIMITS = limits_of(Batching(max_batch_size=8), workers=2)
# A model that answers in 8 ms at its best deserves a shorter queue than the default.
SHORTER = limits_of(Batching(max_batch_size=8), workers=2, max_queue_wait_s=0.01)


@pytest.mark.parametrize(("seconds", "limits"), [(five_ms, LIMITS), (on_gpu, SHORTER)])
def test_three_times_the_load_leaves_the_goodput_and_the_accepted_quick(
    seconds: Callable[[int], float], limits: BatchLimits
) -> None:
    calm = Load(seconds, limits)
    peak = calm.closed(callers=24, requests=4000)
    stormed = Load(seconds, limits)
    goodput = stormed.open(3 * peak, requests=12_000)
    assert goodput >= 0.9 * peak
    assert stormed.refused >= 12_000 / 2
    assert stormed.p99_s <= 2 * calm.p99_s
    assert min(stormed.hints_s) >= 1.0


def test_half_the_load_is_answered_in_full() -> None:
    peak = Load(five_ms, LIMITS).closed(callers=24, requests=2000)
    easy = Load(five_ms, LIMITS)
    easy.open(0.5 * peak, requests=4000)
    assert easy.refused == 0


def test_a_closed_loop_of_ordinary_size_is_never_refused() -> None:
    """Benchmarks and connection pools: 24 callers of a model that takes a second."""
    slow = Load(lambda rows: 1.0 * rows, limits_of(Batching(max_batch_size=8), workers=2))
    assert slow.closed(callers=24, requests=400) == pytest.approx(2.0, rel=0.1)


def test_a_bound_that_the_manifest_names_holds() -> None:
    policy = QueuePolicy(max_queue_size=5)
    limits = limits_of(Batching(max_batch_size=1, default_queue_policy=policy), workers=2)
    load = Load(five_ms, limits)
    load.open(1200.0, requests=2000)
    assert load.p99_s <= (5 + 2) * 0.0055
