"""One per model version: turns single items into batches, and loses none of them.

Work-conserving: while a worker is free nothing waits (unless a queue delay was asked for); while all are
busy a batch grows. The promises, each with its test:

 1. every accepted ticket gets exactly one outcome     5. who left or is too late is dropped, counted
 2. setting an outcome twice is harmless               6. the queue is bounded, refusal is immediate
 3. a failed batch fails only the guilty               7. monotonic clock, deadlines from arrival
 4. if the loop dies, readiness goes false             8. outputs are counted against inputs

Not promised: fairness between callers, and the order of answers between batches.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from models.errors import SlipwayError
from models.manifest import Batching, Manifest
from service.assembly import Assembly
from service.backlog import Backlog
from service.drain import DrainRate
from service.errors import DeadlineExceeded, InferenceFailed, QueueFull, ShuttingDown
from service.isolate import CAUSED_BY_ITEMS, isolate
from service.metrics import ModelMeters
from service.ticket import Arrays, Parts, Ticket
from service.workers.base import RunResult

_log = logging.getLogger("slipway.batcher")

Run = Callable[[Arrays], Awaitable[RunResult]]

_SWEEP_S = 0.1
_LEAST_QUEUE_ROWS = 256  # small batches still deserve a queue that survives a burst of connections
_QUEUED_BATCHES = 4


@dataclass(frozen=True)
class BatchLimits:
    """What a batch and its queue may hold. `concurrency`: batches that run at once."""

    max_batch_size: int = 1
    max_queue_delay_s: float = 0.0
    max_queue_rows: int = _LEAST_QUEUE_ROWS
    max_batch_tokens: int = 0
    concurrency: int = 1
    default_timeout_s: float | None = None
    allow_timeout_override: bool = False


def limits_of(batching: Batching, workers: int) -> BatchLimits:
    """From a manifest's hints; the queue holds a few batches per worker when nobody says otherwise."""
    instances = min(batching.instance_group or workers, workers)
    policy = batching.default_queue_policy
    derived = max(_LEAST_QUEUE_ROWS, _QUEUED_BATCHES * batching.max_batch_size * instances)
    return BatchLimits(
        max_batch_size=batching.max_batch_size,
        max_queue_delay_s=batching.max_queue_delay_microseconds / 1e6,
        max_queue_rows=policy.max_queue_size or derived,
        max_batch_tokens=batching.max_batch_tokens,
        concurrency=instances,
        default_timeout_s=policy.default_timeout_microseconds / 1e6 or None,
        allow_timeout_override=policy.allow_timeout_override,
    )


class Batcher:
    """Belongs to one event loop. `run` executes a batch elsewhere; `clock` is monotonic seconds."""

    def __init__(
        self,
        run: Run,
        manifest: Manifest,
        limits: BatchLimits,
        meters: ModelMeters,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        # Not loop.time(): uvloop's is the same clock, but cut to milliseconds.
        self._clock = clock or time.monotonic
        self._assembly = Assembly(manifest)
        self._meters = meters
        self.limits = limits
        self._most_rows = limits.max_batch_size if self._assembly.can_batch else 1
        self._backlog = Backlog(self._most_rows, limits.max_batch_tokens, self._dropped)
        self._running: dict[asyncio.Task[None], list[Ticket]] = {}
        self._drain = DrainRate()
        self._is_scheduled = False
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

    def enqueue_item(self, item: Arrays, *, deadline: float | None = None) -> Ticket:
        """As `submit`; the ticket tells its times afterwards."""
        return self.enqueue(self._assembly.batched(item), 1, deadline=deadline, is_single=True)

    def enqueue(
        self,
        inputs: Arrays,
        rows: int,
        *,
        deadline: float | None = None,
        is_single: bool = False,
        priority: int = 0,
        is_own_deadline: bool = False,
        on_done: Callable[[Ticket], None] | None = None,
    ) -> Ticket:
        """Accept work, or refuse it now: QueueFull, ShuttingDown, DeadlineExceeded, InputError.

        `priority`: 1 is the highest, 0 the model's default. `is_own_deadline`: the caller named it, it
        is not the server's default. `on_done` gets the ticket once, when it has its outcome.
        """
        self._assembly.check(inputs)
        now = self._clock()
        if self.limits.default_timeout_s is not None and not (
            is_own_deadline and self.limits.allow_timeout_override
        ):
            deadline = min(deadline or math.inf, now + self.limits.default_timeout_s)
        self._admit(rows, now, deadline)
        key, length = self._assembly.key(inputs)
        ticket = Ticket(
            inputs,
            rows,
            arrived=now,
            deadline=deadline,
            key=key,
            priority=priority,
            on_done=on_done,
        )
        ticket.is_single, ticket.length = is_single, length
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
        self._is_closing = True
        self._schedule()
        while self._running or self._backlog.rows:
            if self._running:
                await asyncio.wait(self._running)
            else:
                await asyncio.sleep(0)
        for handle in (self._timer, self._sweeper):
            if handle is not None:
                handle.cancel()

    # -- admission --------------------------------------------------------------------------------

    def _admit(self, rows: int, now: float, deadline: float | None) -> None:
        if self._is_closing or not self.is_alive:
            raise ShuttingDown("the model is being taken out of service")
        if deadline is not None and deadline <= now:
            self._dropped(DeadlineExceeded.reason)
            raise DeadlineExceeded("the request's time was over when it arrived")
        if self._has_room(rows, now, deadline):
            return
        self._backlog.purge(now)  # the departed may have left room
        if not self._has_room(rows, now, deadline):
            waiting = self._backlog.rows
            error = QueueFull(f"{waiting} items wait already; try again later")
            error.retry_after_s = self._drain.retry_after_s(waiting)
            raise error

    def _has_room(self, rows: int, now: float, deadline: float | None) -> bool:
        """Also false when the queue is so long that the deadline would pass in it: no use in waiting."""
        waiting = self._backlog.rows
        if waiting == 0:
            return True  # a request larger than the whole queue is still one that can be served
        if deadline is not None and now + self._drain.wait_s(waiting) > deadline:
            return False
        return waiting + rows <= self.limits.max_queue_rows

    def _push_parts(self, parent: Ticket) -> None:
        parts = []
        for inputs in self._assembly.slices(parent.inputs, parent.rows, self._most_rows):
            first = next(spec for spec in self._assembly.inputs if spec.batch_axis is not None)
            rows = inputs[first.name].shape[first.batch_axis or 0]
            part = Ticket(
                inputs,
                rows,
                arrived=parent.arrived,
                deadline=parent.deadline,
                key=parent.key,
                priority=parent.priority,
            )
            part.length = parent.length
            parts.append(part)
            self._backlog.push(part)
        Parts(parent, parts, self._assembly.join)

    # -- dispatch ---------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Look at the queue once this turn of the loop is over: requests that were read from several
        sockets in the same turn then share a batch, which costs none of them any time."""
        if not self._is_scheduled and self.is_alive:
            self._is_scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_scheduled = False
        try:
            self._launch_all()
        except Exception:  # a defect of ours ends this batcher, not the server
            # Nothing more is accepted, everybody waiting is told, and
            # readiness goes false, so that the replica is taken out of traffic instead of hanging.
            _log.exception("the batcher has died")
            self.is_alive = False
            self._backlog.fail_all(InferenceFailed("the batcher has died"))

    def _launch_all(self) -> None:
        while len(self._running) < self.limits.concurrency:
            delay_s = 0.0 if self._is_closing else self.limits.max_queue_delay_s
            due = self._backlog.ready_at(delay_s)
            if due is None:
                return
            now = self._clock()
            if due > now:
                self._wake_in(due - now)
                return
            batch = self._backlog.take(now)
            if batch:
                task = self._loop.create_task(self._execute(batch))
                self._running[task] = batch
                task.add_done_callback(self._ended)

    def _wake_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._schedule)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        batch = self._running.pop(task)
        for ticket in batch:
            ticket.fail(InferenceFailed("the run ended without an answer"))
        self._schedule()

    async def _execute(self, batch: list[Ticket]) -> None:
        try:
            await self._attempt(batch)
        except CAUSED_BY_ITEMS as error:
            if isinstance(error, InferenceFailed):
                _log.warning("a batch of %d failed: %s %s", len(batch), error, error.detail)
            await isolate(batch, error, self._attempt)
        except SlipwayError as error:
            # Concerns all of them: a lost worker, answers that do not add up.
            _log.warning("a batch of %d failed: %s", len(batch), error)
            for ticket in batch:
                ticket.fail(error)
        except Exception:  # ours: this batch's callers get a 500, the next batch is tried
            _log.exception("a batch could not be handled")
            for ticket in batch:
                ticket.fail(InferenceFailed("the batch could not be handled"))

    async def _attempt(self, tickets: Sequence[Ticket]) -> None:
        """Run the tickets as one batch and answer them. Raises what the run raises."""
        rows = sum(ticket.rows for ticket in tickets)
        began = self._clock()
        inputs = self._assembly.stack(tickets)
        stacked = self._clock()
        result = await self._run(inputs)
        ran = self._clock()
        parts = self._assembly.split(result.outputs, tickets)
        self._drain.record(rows, began, ran)
        for ticket, outputs in zip(tickets, parts, strict=True):
            ticket.queue_s, ticket.infer_s = began - ticket.arrived, result.infer_s
            ticket.batch_rows = rows
            ticket.succeed(outputs)
        # What the trip to the worker cost beyond the graph counts as preparing input.
        travel_s = max(ran - stacked - result.infer_s, 0.0)
        waits_s = [ticket.queue_s for ticket in tickets]
        input_s, output_s = stacked - began + travel_s, self._clock() - ran
        self._meters.ran(rows, waits_s, input_s, result.infer_s, output_s)

    # -- time -------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Deadlines also pass while every worker is busy or hung; nobody waits for a result in vain."""
        self._sweeper = None
        now = self._clock()
        self._backlog.purge(now)
        for batch in self._running.values():
            for ticket in batch:
                if ticket.deadline is not None and ticket.deadline <= now:
                    ticket.fail(DeadlineExceeded("the request's time was over during its run"))
        if self._running or self._backlog.rows:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)

    def _dropped(self, reason: str) -> None:
        self._meters.dropped[reason] += 1
