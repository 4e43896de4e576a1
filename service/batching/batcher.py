"""One per model version: turns single items into batches, and loses none of them.

Work-conserving: while a worker is free nothing waits (unless a queue delay was asked for); while all are
busy a batch grows. The promises, each with its test:

 1. every accepted ticket gets exactly one outcome     5. who left or is too late is dropped, counted
 2. setting an outcome twice is harmless               6. the queue is bounded, refusal is immediate
 3. a failed batch fails only the guilty               7. monotonic clock, deadlines from arrival
 4. if the loop dies, readiness goes false             8. outputs are counted against inputs

Not promised: the order of answers between batches, and fairness where callers are not told apart.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Hashable, Sequence
from functools import partial

from models.errors import InferenceFailed
from models.manifest import Manifest
from service.batching.admission import Admission
from service.batching.assembly import Assembly
from service.batching.backlog import Backlog, QueueRules
from service.batching.cost import CostCurve
from service.batching.drain import DrainRate
from service.batching.execution import Execution, Run, Submit, as_submit
from service.batching.latency import LatencyTarget
from service.batching.limits import BatchLimits, limits_of
from service.batching.sizing import UNBOUND, Bounds, Sizing
from service.batching.ticket import Arrays, Parts, Ticket
from service.errors import ShuttingDown
from service.observability.metrics import ModelMeters
from service.workers.base import ModelKey, Submits, WorkerPool

__all__ = ["BatchLimits", "Batcher", "batcher_over", "limits_of"]

_log = logging.getLogger("slipway.batcher")

_SWEEP_S = 0.1


def batcher_over(
    pool: WorkerPool, key: ModelKey, manifest: Manifest, limits: BatchLimits, meters: ModelMeters
) -> "Batcher":
    """The batcher of a model that `pool` hosts."""
    submit = partial(pool.submit, key) if isinstance(pool, Submits) else None
    return Batcher(partial(pool.run, key), manifest, limits, meters, submit=submit)


class Batcher:
    """Belongs to one event loop. `run` executes a batch elsewhere, `submit` does so with a callback
    instead of an awaitable, for less; `clock` is monotonic seconds."""

    def __init__(
        self,
        run: Run,
        manifest: Manifest,
        limits: BatchLimits,
        meters: ModelMeters,
        clock: Callable[[], float] | None = None,
        submit: Submit | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        # Not loop.time(): uvloop's is the same clock, but cut to milliseconds.
        self._clock = clock or time.monotonic
        self._meters = meters
        self.limits = limits
        self._assembly = Assembly(
            manifest, limits.allowed_batch_sizes, limits.length_buckets, limits.length_step
        )
        self._most_rows = limits.max_batch_size if self._assembly.can_batch else 1
        rules = QueueRules(
            most_rows=self._most_rows,
            most_tokens=limits.max_batch_tokens,
            preferred=limits.preferred_batch_size,
            levels=limits.priority_levels,
            default_level=limits.default_priority_level,
            delay_s=limits.max_queue_delay_s,
            delays_late=limits.delays_late,
        )
        self._backlog = Backlog(rules, self._dropped)
        self._drain = DrainRate(self._most_rows * limits.concurrency)
        self._execution = Execution(
            submit or as_submit(run), self._assembly, meters, self._clock, self._ended, self._drain
        )
        self._admission = Admission(limits, self._backlog, self._drain, self._dropped)
        curve = self._execution.cost
        self._sizing = Sizing(curve, self._most_rows, learns=limits.learns_cost)
        self._target = self._target_of(limits, curve) if limits.latency_target_s else None
        meters.batch_size_limit = self._size_limit
        self._idle = asyncio.Event()
        self._is_scheduled = False
        self._is_dispatching = False
        self._is_closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self.is_alive = True

    @property
    def pending_rows(self) -> int:
        return self._backlog.rows

    def submit(self, item: Arrays, *, deadline: float | None = None) -> "asyncio.Future[Arrays]":
        """One item without batch axis → its outputs without batch axis."""
        return self.enqueue_item(item, deadline=deadline).future

    def submit_rows(
        self, inputs: Arrays, rows: int, *, deadline: float | None = None
    ) -> "asyncio.Future[Arrays]":
        """A batched request → its outputs, batched alike, whatever it was split into."""
        return self.enqueue(inputs, rows, deadline=deadline).future

    def enqueue_item(
        self,
        item: Arrays,
        *,
        deadline: float | None = None,
        priority: int = 0,
        is_own_deadline: bool = False,
        caller: Hashable = None,
    ) -> Ticket:
        """As `submit`; the ticket tells its times afterwards."""
        return self.enqueue(
            self._assembly.batched(item),
            1,
            deadline=deadline,
            is_single=True,
            priority=priority,
            is_own_deadline=is_own_deadline,
            caller=caller,
        )

    def enqueue(
        self,
        inputs: Arrays,
        rows: int,
        *,
        deadline: float | None = None,
        is_single: bool = False,
        priority: int = 0,
        is_own_deadline: bool = False,
        caller: Hashable = None,
        on_done: Callable[[Ticket], None] | None = None,
    ) -> Ticket:
        """Accept work, or refuse it now: QueueFull, QuotaExceeded, ShuttingDown, DeadlineExceeded,
        InputError.

        `priority`: 1 is the highest, 0 the model's default. `is_own_deadline`: the caller named it, it
        is not the server's default. `caller`: whose it is, where callers are told apart. `on_done`
        gets the ticket once, when it has its outcome.
        """
        self._assembly.check(inputs)
        now = self._clock()
        ticket = Ticket(
            inputs,
            rows,
            arrived=now,
            deadline=deadline,
            priority=priority,
            caller=caller,
            on_done=on_done,
        )
        ticket.is_single = is_single
        self._assembly.describe(ticket)
        limits = self.limits
        if limits.queue_timeout_s is not None:
            is_exempt = is_own_deadline and limits.allow_timeout_override
            ticket.queue_until = None if is_exempt else now + limits.queue_timeout_s
        if self._is_closing or not self.is_alive:
            raise ShuttingDown("the model is being taken out of service")
        self._admission.admit(rows, now, deadline, priority, caller)
        size = rows if rows < 2 or not self._assembly.can_batch else self._part_rows(ticket)
        if size >= rows:
            self._backlog.push(ticket)
        else:
            self._push_parts(ticket, size)
        self._schedule()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        return ticket

    def _target_of(self, limits: BatchLimits, curve: CostCurve) -> LatencyTarget:
        meters = self._meters
        meters.latency_target_s = limits.latency_target_s

        def changed(reason: str) -> None:
            meters.batch_limit_changes[reason] += 1
            self._backlog.delay_s = target.delay_s(limits.max_queue_delay_s)

        target = LatencyTarget(limits.latency_target_s, curve, limits.concurrency, changed)
        self._backlog.delay_s = target.delay_s(limits.max_queue_delay_s)

        def ran(batch: Sequence[Ticket], now: float) -> None:
            meters.latency_target_missed += target.answered(batch, now)

        self._execution.on_ran = ran
        return target

    def _size_limit(self) -> int:
        """Rows of the usual length that a batch takes at the most now, for the metrics."""
        curve, target = self._execution.cost, self._target
        bounds = UNBOUND if target is None else Bounds(most_s=target.most_s)
        return self._sizing.rows(self._most_rows, curve.usual_length, bounds)

    async def close(self) -> None:
        """Refuse what is new, finish what was accepted."""
        self._is_closing = self._backlog.is_closing = True
        self._schedule()
        while self._execution.running or self._backlog.rows:
            self._idle.clear()
            await self._idle.wait()
        for handle in (self._timer, self._sweeper):
            if handle is not None:
                handle.cancel()

    def _part_rows(self, ticket: Ticket) -> int:
        """How many rows of a request stay together: a batch's worth, or fewer where that costs nothing, so
        that free workers share it and other requests do not stand behind the whole of it."""
        rows, length = min(ticket.rows, self._most_rows), ticket.work / ticket.rows
        ceiling = self._execution.ceiling.most_work(self._clock())
        if ceiling < rows * length:
            rows = max(int(ceiling / length), 1)
        sizing = self._sizing
        if not sizing.learns or not sizing.is_worth_parting(rows, length):
            return rows
        free = max(self.limits.concurrency - self._execution.running, 1)
        return sizing.rows(rows, length, Bounds(sizing.share(rows * length, free)))

    def _push_parts(self, parent: Ticket, size: int) -> None:
        """A request goes as several, which may run at once."""
        parts = []
        slices = self._assembly.slices(parent.inputs, parent.rows, size)
        for number, inputs in enumerate(slices):
            part = Ticket(
                inputs,
                min(size, parent.rows - number * size),
                arrived=parent.arrived,
                deadline=parent.deadline,
                priority=parent.priority,
                caller=parent.caller,
            )
            part.queue_until = parent.queue_until
            self._assembly.describe(part)
            parts.append(part)
        Parts(parent, parts, self._assembly.join)
        for part in parts:
            self._backlog.push(part)

    # -- dispatch ---------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Look at the queue once this turn of the loop is over: requests that were read from several
        sockets in the same turn then share a batch, which costs none of them any time."""
        if not self._is_scheduled and self.is_alive:
            self._is_scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_scheduled = False
        self._is_dispatching = True
        try:
            self._launch_all()
        except Exception:  # a defect of ours ends this batcher, not the server
            # Nothing more is accepted, everybody waiting is told, and
            # readiness goes false, so that the replica is taken out of traffic instead of hanging.
            _log.exception("the batcher has died")
            self.is_alive = False
            self._backlog.fail_all(InferenceFailed("the batcher has died"))
        finally:
            self._is_dispatching = False
        if not self._backlog.rows:
            self._idle.set()

    def _launch_all(self) -> None:
        backlog, execution = self._backlog, self._execution
        while execution.running < self.limits.concurrency:
            now = self._clock()
            due = backlog.ready_at(now)
            if due is None:
                return
            if due > now:
                self._wake_in(due - now)
                return
            batch = backlog.take(now, self._sizing, self._bounds(now))
            if batch:
                if backlog.count:
                    self._meters.batches_bounded[self._sizing.bound] += 1
                execution.launch(batch)
                rows = sum([ticket.rows for ticket in batch])
                is_busy = execution.running >= self.limits.concurrency
                self._drain.taken(rows, now, is_saturated=is_busy and backlog.rows > 0)

    def _bounds(self, now: float) -> Bounds:
        """What memory has room for and free workers leave a batch of what waits, and how long it may take for
        the target's sake."""
        backlog, target = self._backlog, self._target
        free = self.limits.concurrency - self._execution.running
        most_work = self._execution.ceiling.most_work(now)
        if free > 1 and backlog.count > 1 and self._sizing.learns:
            most_work = min(most_work, self._sizing.share(backlog.work, free))
        elif target is None and most_work == math.inf:
            return UNBOUND
        head = backlog.first(now) if target is not None else None
        if target is None or head is None:
            return Bounds(most_work)
        return Bounds(most_work, target.bound_s(now, head, backlog.work))

    def _wake_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._schedule)

    def _ended(self) -> None:
        """A batch has ended: its place is free. What waits for it has waited long enough."""
        if self._is_dispatching:
            return  # it goes on by itself
        if self._backlog.rows and self.is_alive:
            self._dispatch()
        self._idle.set()

    # -- time -------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Deadlines also pass while every worker is busy or hung; nobody waits for a result in vain."""
        self._sweeper = None
        now = self._clock()
        self._backlog.purge(now)
        self._execution.expire(now)
        if self._execution.running or self._backlog.rows:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def _dropped(self, reason: str) -> None:
        self._meters.dropped[reason] += 1
