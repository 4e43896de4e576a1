"""A latency target is followed while it can be held, and let go of where it cannot. Simulated time."""

import asyncio
import random
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from models.errors import SlipwayError
from service.batching.batcher import Batcher, BatchLimits
from service.batching.cost import CostCurve
from service.batching.latency import LATE_SHARE, LatencyTarget
from service.batching.ticket import Ticket
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.batching.simulated import TRIP_S, Seconds, minilm, no_gain, on_gpu
from tests.service.batching.test_batcher import text_manifest
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

ONE = BatchLimits(max_batch_size=64, max_queue_rows=400, concurrency=1)


def heavy(rows: int, length: int) -> float:
    """Batches pay, but each row takes its time."""
    return 0.004 + 0.0006 * rows


@dataclass
class OpenLoop:
    """`rate` requests a second arrive at random for `seconds`, whatever becomes of them."""

    cost: Seconds
    limits: BatchLimits
    rate: float
    seconds: float = 8.0
    lengths: tuple[int, int] | None = None
    trip_s: float = TRIP_S
    meters: ModelMeters = field(default_factory=lambda: ModelMeters("m", 1))
    latencies_s: list[float] = field(default_factory=list)
    refused: int = 0
    rows: list[int] = field(default_factory=list)

    def play(self) -> "OpenLoop":
        run_virtually(self._play())
        return self

    @property
    def p95_s(self) -> float:
        """Of the second half, when all has settled."""
        return float(np.quantile(self.latencies_s[len(self.latencies_s) // 2 :], 0.95))

    async def _play(self) -> None:
        loop, chance = asyncio.get_running_loop(), random.Random(5)
        manifest = vector(2) if self.lengths is None else text_manifest()

        async def run(inputs: Arrays) -> RunResult:
            took_s = self.cost(*inputs["x"].shape) * chance.uniform(0.95, 1.05)
            self.rows.append(len(inputs["x"]))
            await asyncio.sleep(took_s + self.trip_s)
            return RunResult({"y": inputs["x"]}, took_s)

        self.batcher = Batcher(run, manifest, self.limits, self.meters, loop.time)
        ends = loop.time() + self.seconds
        while loop.time() < ends:
            await asyncio.sleep(chance.expovariate(self.rate))
            self._ask(loop.time(), chance)
        await self.batcher.close()

    def _ask(self, now: float, chance: random.Random) -> None:
        if self.lengths is None:
            inputs: Arrays = {"x": np.zeros((1, 2), np.float32)}
        else:
            length = chance.randint(*self.lengths)
            inputs = {name: np.ones((1, length), np.int64) for name in ("x", "mask")}
        loop = asyncio.get_running_loop()

        def done(ticket: Ticket) -> None:
            if ticket.outputs is not None:
                self.latencies_s.append(loop.time() - now)

        try:
            self.batcher.enqueue(inputs, 1, on_done=done)
        except SlipwayError:
            self.refused += 1


def with_target(limits: BatchLimits, p95_ms: float) -> BatchLimits:
    return replace(limits, latency_target_s=p95_ms / 1e3)


TEXTS = replace(ONE, concurrency=2)


@pytest.mark.parametrize(("rate", "p95_ms"), [(1500, 15), (2000, 25)])
def test_texts_of_all_lengths_keep_a_target_that_they_would_miss(rate: int, p95_ms: int) -> None:
    lengths = (8, 160)
    free = OpenLoop(on_gpu, TEXTS, rate, seconds=8, lengths=lengths).play()
    bound = OpenLoop(on_gpu, with_target(TEXTS, p95_ms), rate, seconds=8, lengths=lengths).play()
    assert free.p95_s > p95_ms / 1e3
    assert bound.p95_s < p95_ms / 1e3
    assert bound.refused == free.refused == 0
    assert bound.meters.batches_bounded["target"] > 0
    assert bound.meters.batch_limit_changes["late"] > 0


def test_batches_of_an_operators_size_become_as_small_as_the_target_wants() -> None:
    """Nothing is gained by batches here; somebody asked for 32 and a long delay all the same."""
    asked = replace(ONE, max_queue_delay_s=0.06)
    free = OpenLoop(no_gain, asked, rate=300, seconds=8).play()
    bound = OpenLoop(no_gain, with_target(asked, 30), rate=300, seconds=8).play()
    assert free.p95_s > 0.06
    assert bound.p95_s < 0.03


def test_what_the_curve_does_not_know_is_corrected_by_what_is_measured() -> None:
    """The way to the worker takes 15 ms here, which is in no run's time."""
    asked = replace(ONE, max_queue_delay_s=0.2)
    load = OpenLoop(no_gain, with_target(asked, 30), rate=150, seconds=20, trip_s=0.015).play()
    assert load.meters.batch_limit_changes["late"] > 0
    assert load.p95_s < 0.03 * 1.05


def test_beyond_what_bounded_batches_can_serve_they_are_as_large_as_pays() -> None:
    """At 1,300 a second bounded batches fall behind: a bound would only add to the queue."""
    free = OpenLoop(heavy, ONE, rate=1300).play()
    bound = OpenLoop(heavy, with_target(ONE, 12), rate=1300).play()
    assert bound.refused <= free.refused * 1.05 + 10
    assert len(bound.latencies_s) >= 0.98 * len(free.latencies_s)
    assert bound.p95_s <= free.p95_s * 1.1


@pytest.mark.parametrize("p95_ms", [0.1, 1, 4.5])
def test_a_target_below_a_single_run_changes_nothing(p95_ms: float) -> None:
    free = OpenLoop(heavy, ONE, rate=900, seconds=6).play()
    bound = OpenLoop(heavy, with_target(ONE, p95_ms), rate=900, seconds=6).play()
    assert len(bound.latencies_s) == len(free.latencies_s)
    assert bound.p95_s == pytest.approx(free.p95_s, rel=0.05)
    assert bound.meters.latency_target_missed == len(bound.latencies_s)


def test_a_target_with_room_costs_no_throughput() -> None:
    free = OpenLoop(minilm, ONE, rate=60, seconds=6, lengths=(8, 160)).play()
    bound = OpenLoop(minilm, with_target(ONE, 500), rate=60, seconds=6, lengths=(8, 160)).play()
    assert bound.rows == free.rows
    assert not bound.meters.batch_limit_changes


def test_an_asked_for_delay_leaves_time_for_the_run() -> None:
    slow = replace(ONE, max_queue_delay_s=0.1)
    free = OpenLoop(heavy, slow, rate=50, seconds=6).play()
    bound = OpenLoop(heavy, with_target(slow, 30), rate=50, seconds=6).play()
    assert free.p95_s > 0.1
    assert bound.p95_s < 0.03


# -- the rule by itself -------------------------------------------------------------------------------


def known() -> CostCurve:
    curve = CostCurve()
    for rows in (1, 2, 4, 8, 16) * 10:
        curve.record(rows, 1.0, heavy(rows, 1))
    return curve


def ticket(arrived: float = 0.0) -> Ticket:
    return Ticket({}, 1, arrived=arrived)


def test_a_run_may_take_what_is_left_for_the_request_that_leads_it() -> None:
    target = LatencyTarget(0.03, known(), 1)
    assert target.bound_s(0.0, ticket(), 1.0) == pytest.approx(0.03)
    assert target.bound_s(0.022, ticket(), 1.0) == pytest.approx(0.008)
    assert target.bound_s(0.029, ticket(), 1.0) == pytest.approx(0.03), "it is late anyway"


def test_nothing_is_bound_before_anything_was_measured() -> None:
    assert LatencyTarget(0.03, CostCurve(), 1).bound_s(0.0, ticket(), 1.0) == float("inf")


def window(target: LatencyTarget, now: float, late: float) -> float:
    """200 answers of which a share is late."""
    count = round(200 * late)
    batch = [ticket(now - 2 * target.target_s)] * count + [ticket(now)] * (200 - count)
    target.bound_s(now, ticket(now), 1.0)
    assert target.answered(batch, now) == count
    return target.allowed


def test_late_answers_cut_a_fifth_and_early_ones_return_a_twentieth() -> None:
    changes: list[str] = []
    target = LatencyTarget(0.03, known(), 1, changes.append)
    assert window(target, 1.0, late=0.10) == pytest.approx(0.8)
    assert window(target, 2.0, late=0.04) == pytest.approx(0.8)
    assert window(target, 3.0, late=0.06) == pytest.approx(0.8), "as chance would have it"
    assert window(target, 4.0, late=0.02) == pytest.approx(0.85)
    assert changes == ["late", "early"]
    assert LATE_SHARE == 0.05


def test_bounds_that_do_not_help_are_lifted_and_tried_again_later() -> None:
    changes: list[str] = []
    target = LatencyTarget(0.1, known(), 1, changes.append)
    now = 0.0
    while "unreachable" not in changes:
        now += 1.0
        window(target, now, late=0.5)
    assert now == 4
    assert target.bound_s(now + 1, ticket(now + 1), 1.0) == float("inf")
    assert target.bound_s(now + 11, ticket(now + 11), 1.0) == pytest.approx(0.1)


def test_bounds_that_help_are_tightened_on() -> None:
    target = LatencyTarget(0.1, known(), 1)
    shares = (0.5, 0.4, 0.3, 0.2, 0.15)
    found = [window(target, float(now), late) for now, late in enumerate(shares, 1)]
    assert found == pytest.approx([0.8, 0.64, 0.512, 0.4096, 0.32768])
