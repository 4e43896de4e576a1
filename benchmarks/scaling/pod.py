"""One pod in simulated time: event loop → admission → queue → batches → workers → answers.

What decides is the server's own code: `Admission` bounds the queue by the expected wait, `DrainRate`
measures it, `Sizing` says how large a batch pays. Simulated are time, arrivals and runs. Requests are of
one row, of one priority and of one caller.
"""

import random
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, cast

import simpy

from benchmarks.scaling.curve import Profile
from benchmarks.scaling.ledger import Ledger
from models.manifest import Batching
from service.batching.admission import Admission
from service.batching.backlog import Backlog
from service.batching.cost import CostCurve
from service.batching.drain import DrainRate
from service.batching.limits import BatchLimits, limits_of
from service.batching.sizing import UNBOUND, Bounds, Sizing
from service.errors import QueueFull

Process = Generator[simpy.Event, Any, None]


def limits(profile: Profile) -> BatchLimits:
    """As the server would resolve them."""
    batching = Batching(max_batch_size=profile.max_batch_size)
    return limits_of(batching, profile.workers, max_queue_wait_s=profile.max_queue_wait_s)


def after(env: simpy.Environment, delay_s: float, then: Callable[[], None]) -> None:
    """Call `then` in so many seconds."""
    event = env.timeout(delay_s)
    assert event.callbacks is not None
    event.callbacks.append(lambda _: then())


@dataclass(slots=True)
class _Request:
    arrived: float
    queued: float = 0.0


class _Queue:
    """As much of a backlog as admission looks at, where nobody has priority."""

    def __init__(self) -> None:
        self.waiting: deque[_Request] = deque()

    @property
    def rows(self) -> int:
        return len(self.waiting)

    def level_of(self, priority: int) -> int:
        return priority

    def rows_ahead(self, level: int) -> int:  # noqa: ARG002 (everybody is on one level)
        return len(self.waiting)


class SimulatedPod:
    """`in_flight` is what its gauge shows: waiting requests as well as running ones."""

    def __init__(
        self,
        env: simpy.Environment,
        profile: Profile,
        ledger: Ledger,
        chance: random.Random,
        rules: BatchLimits | None = None,
    ) -> None:
        self._env, self._profile, self._ledger, self._chance = env, profile, ledger, chance
        self._limits = rules or limits(profile)
        self._queue = _Queue()
        self._curve = CostCurve()
        most_rows = self._limits.max_batch_size
        self._sizing = Sizing(self._curve, most_rows, learns=self._limits.learns_cost)
        self._drain = DrainRate(self._limits.max_batch_size * self._limits.concurrency)
        self._admission = Admission(
            self._limits, cast(Backlog, self._queue), self._drain, lambda _: None
        )
        self._frontend_free = 0.0
        self._running = 0
        self.in_flight = 0
        self.busy_s = 0.0

    def submit(self) -> None:
        """A request arrives now. The event loop reads one after the other."""
        now = self._env.now
        self.in_flight += 1
        request = _Request(now)
        self._frontend_free = max(now, self._frontend_free) + self._profile.frontend_s
        if self._frontend_free > now:
            after(self._env, self._frontend_free - now, lambda: self._enqueue(request))
        else:
            self._enqueue(request)

    def _enqueue(self, request: _Request) -> None:
        now = request.queued = self._env.now
        try:
            self._admission.admit(1, now, None, 0)
        except QueueFull:
            self.in_flight -= 1
            self._ledger.refuse(request.arrived, now)
            return
        self._queue.waiting.append(request)
        self._launch()

    def _launch(self) -> None:
        waiting, most_running = self._queue.waiting, self._limits.concurrency
        while waiting and self._running < most_running:
            now = self._env.now
            batch = [waiting.popleft() for _ in range(self._batch_rows(len(waiting)))]
            self._running += 1
            self._ledger.run(now, [now - request.queued for request in batch])
            run_s = self._profile.curve.draw(len(batch), self._chance)
            taken_s = run_s + self._profile.taken_s(len(batch))
            self.busy_s += taken_s
            is_saturated = self._running >= most_running and bool(waiting)
            self._drain.taken(len(batch), now, is_saturated=is_saturated)
            self._start(batch, run_s, taken_s)

    def _start(self, batch: list[_Request], run_s: float, taken_s: float) -> None:
        after(self._env, taken_s, lambda: self._ended(batch, run_s, taken_s))

    def _batch_rows(self, waiting: int) -> int:
        """As `Batcher` decides: as many as pay, and free workers share."""
        free, bounds = self._limits.concurrency - self._running, UNBOUND
        if waiting > 1 and free > 1 and self._sizing.learns:
            bounds = Bounds(most_work=self._sizing.share(waiting, free))
        return self._sizing.rows(waiting, 1.0, bounds)

    def _ended(self, batch: list[_Request], run_s: float, taken_s: float) -> None:
        self._running -= 1
        self._drain.ran(taken_s)
        self._curve.record(len(batch), 1.0, run_s)
        self._launch()
        if self._profile.rest_s:
            after(self._env, self._profile.rest_s, lambda: self._answer(batch))
        else:
            self._answer(batch)

    def _answer(self, batch: list[_Request]) -> None:
        self.in_flight -= len(batch)
        for request in batch:
            self._ledger.answer(request.arrived, self._env.now)
