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
import time
from collections.abc import Callable, Hashable
from functools import partial

from models.errors import InferenceFailed
from models.manifest import Manifest
from service.batching.admission import Admission
from service.batching.assembly import Assembly
from service.batching.backlog import Backlog, QueueRules
from service.batching.drain import DrainRate
from service.batching.execution import Execution, Run, Submit, as_submit
from service.batching.group import Shares
from service.batching.limits import BatchLimits, limits_of
from service.batching.ticket import Arrays, Parts, Ticket
from service.errors import ShuttingDown
from service.observability.metrics import ModelMeters
from service.workers.base import ModelKey, Submits, WorkerPool

__all__ = ["BatchLimits", "Batcher", "batcher_over", "limits_of"]

_log = logging.getLogger("slipway.batcher")

_SWEEP_S = 0.1
_UNSHARED = Shares()


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
        self._assembly = Assembly(manifest, limits.allowed_batch_sizes)
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
        self._learns_cost = limits.learns_cost
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
        if rows <= self._most_rows or not self._assembly.can_batch:
            self._backlog.push(ticket)
        else:
            self._push_parts(ticket)
        self._schedule()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        return ticket

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

    def _push_parts(self, parent: Ticket) -> None:
        """A request larger than a batch goes as several, which may run at once."""
        size, parts = self._most_rows, []
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
            batch = backlog.take(now, self._shares())
            if batch:
                execution.launch(batch)
                rows = sum([ticket.rows for ticket in batch])
                is_busy = execution.running >= self.limits.concurrency
                self._drain.taken(rows, now, is_saturated=is_busy and backlog.rows > 0)

    def _shares(self) -> Shares:
        """How much of what waits one batch takes: as far as it pays, and what free workers leave it."""
        if self._backlog.count == 1 or not self._learns_cost:
            return _UNSHARED
        cost = self._execution.cost
        most_work = cost.most_work()
        free = self.limits.concurrency - self._execution.running
        if free > 1:
            most_work = min(most_work, cost.share(self._backlog.work, free))
        return Shares(most_work, cost.spare_work())

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
