"""Batches on their way through a worker: stack → run → split → answer, and what happens when one fails.

A batch costs neither task nor future: its answer comes as a callback. Only a failed batch of several
tickets gets a task, which looks for the guilty. Who is retried after a worker was lost is the pool's to
decide; here such a batch is never run again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from models.errors import InferenceFailed, InputRefused, OutOfMemory, SlipwayError
from service.batching.assembly import Assembly
from service.batching.ceiling import MemoryCeiling
from service.batching.cost import CostCurve
from service.batching.drain import DrainRate
from service.batching.isolate import CAUSED_BY_ITEMS, isolate
from service.batching.ticket import Arrays, Ticket
from service.errors import Cancelled, DeadlineExceeded, ShuttingDown
from service.observability.metrics import ModelMeters
from service.workers.base import RunResult, Sent

_log = logging.getLogger("slipway.batcher")

Run = Callable[[Arrays], Awaitable[RunResult]]
"""Inputs with batch axis → outputs."""

OnResult = Callable[[RunResult | Exception], None]
Submit = Callable[[Arrays, OnResult], Sent | None]
"""As Run; the outcome is given to the callback, once, in the loop's thread, perhaps at once."""


def as_submit(run: Run) -> Submit:
    """For what can only be awaited."""

    def submit(inputs: Arrays, on_result: OnResult) -> None:
        future = asyncio.ensure_future(run(inputs))
        future.add_done_callback(lambda done: on_result(_outcome(done)))

    return submit


def _outcome(future: "asyncio.Future[RunResult]") -> RunResult | Exception:
    if future.cancelled():
        return ShuttingDown("the run was given up; send it again")
    error = future.exception()
    if error is None:
        return future.result()
    return error if isinstance(error, Exception) else ShuttingDown("the run was ended")


class Execution:
    """`on_end` is called once for each batch, when its place is free; its tickets have their outcomes
    before the loop turns again. `on_ran`: with the tickets of a run and when it ended."""

    def __init__(
        self,
        submit: Submit,
        assembly: Assembly,
        meters: ModelMeters,
        clock: Callable[[], float],
        on_end: Callable[[], None],
        drain: DrainRate,
    ) -> None:
        self._submit = submit
        self._assembly = assembly
        self._meters = meters
        self._clock = clock
        self._on_end = on_end
        self._drain = drain
        self._running: dict[int, tuple[Sequence[Ticket], Sent | None]] = {}
        self._searches: set[asyncio.Task[None]] = set()
        self.cost = CostCurve()
        self.ceiling = MemoryCeiling()
        self.on_ran: Callable[[Sequence[Ticket], float], None] | None = None

    @property
    def running(self) -> int:
        """Batches that occupy an instance of the model."""
        return len(self._running)

    def expire(self, now: float) -> None:
        """Deadlines pass during a run as well. A batch that nobody waits for any more is not sent, if
        it still stands behind other models' batches."""
        for batch, sent in list(self._running.values()):
            for ticket in batch:
                if ticket.deadline is not None and ticket.deadline <= now:
                    ticket.fail(DeadlineExceeded("the request's time was over during its run"))
            if sent is not None and all(ticket.is_done for ticket in batch):
                sent.is_dropped = True

    def launch(self, batch: Sequence[Ticket]) -> None:
        """Run a batch. Whatever happens, each of its tickets gets an outcome."""
        self._running[id(batch)] = (batch, None)
        began = self._clock()
        try:
            inputs = self._assembly.stack(batch)
            on_result = partial(self._ran, batch, began, self._clock())
            sent = self._submit(inputs, on_result)
        except Exception as error:  # this batch's callers are told, the next batch is tried
            self._fail(batch, error)
            self._end(batch)
        else:
            if id(batch) in self._running:  # not answered yet
                self._running[id(batch)] = (batch, sent)

    def _ran(
        self,
        batch: Sequence[Ticket],
        began: float,
        stacked: float,
        outcome: RunResult | Exception,
    ) -> None:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            parts = self._parts(batch, outcome, began, stacked)
        except CAUSED_BY_ITEMS as error:
            self._learn(batch, error)
            if len(batch) > 1:
                search = asyncio.ensure_future(self._search(batch, error))
                self._searches.add(search)
                search.add_done_callback(self._searches.discard)
                return
            self._fail(batch, error)
            self._end(batch)
        except Exception as error:  # this batch's callers are told, the next batch is tried
            self._fail(batch, error)
            self._end(batch)
        else:
            # The worker gets its next batch first: it computes while these answers are written.
            self._end(batch)
            _answer(batch, parts)

    def _parts(
        self, batch: Sequence[Ticket], result: RunResult, began: float, stacked: float
    ) -> list[Arrays]:
        """Every ticket's outputs; measures the run. Raises OutputMismatch."""
        ran = self._clock()
        rows = sum([ticket.rows for ticket in batch])
        parts = self._assembly.split(result.outputs, batch)
        infer_s = result.infer_s
        self._drain.ran(ran - began)
        if rows:  # a request may have none
            self.cost.record(rows, self._assembly.work(batch) / rows, infer_s)
        waits_s = []
        for ticket in batch:
            ticket.queue_s, ticket.infer_s = began - ticket.arrived, infer_s
            ticket.batch_rows = rows
            waits_s.append(ticket.queue_s)
        # What the trip to the worker cost beyond the graph counts as preparing input.
        input_s = max(ran - began - infer_s, stacked - began)
        self._meters.ran(rows, waits_s, input_s, infer_s, self._clock() - ran)
        if self.on_ran is not None:
            self.on_ran(batch, ran)
        return parts

    async def _search(self, batch: Sequence[Ticket], error: SlipwayError) -> None:
        """Find the guilty of a failed batch; the innocent get their answers."""
        _tell(batch, error)
        try:
            await isolate(batch, error, self._attempt)
        except Exception as defect:  # as above
            self._fail(batch, defect)
        finally:
            self._fail_rest(batch)
            self._end(batch)

    async def _attempt(self, batch: Sequence[Ticket]) -> None:
        began = self._clock()
        inputs = self._assembly.stack(batch)
        stacked = self._clock()
        future: asyncio.Future[RunResult | Exception] = asyncio.get_running_loop().create_future()

        def on_result(outcome: RunResult | Exception) -> None:
            if not future.done():
                future.set_result(outcome)

        self._submit(inputs, on_result)
        outcome = await future
        if isinstance(outcome, Exception):
            self._learn(batch, outcome)
            raise outcome
        _answer(batch, self._parts(batch, outcome, began, stacked))

    def _learn(self, batch: Sequence[Ticket], error: Exception) -> None:
        if isinstance(error, OutOfMemory):
            self.ceiling.ran_out(self._assembly.work(batch), self._clock())

    def _fail(self, batch: Sequence[Ticket], error: Exception) -> None:
        if isinstance(error, SlipwayError):
            _tell(batch, error)
        else:
            _log.error("a batch could not be handled", exc_info=error)
            error = InferenceFailed("the batch could not be handled")
        for ticket in batch:
            ticket.fail(error)

    def _fail_rest(self, batch: Sequence[Ticket]) -> None:
        """For a search that was itself cancelled; without effect on whoever has an outcome."""
        for ticket in batch:
            ticket.fail(InferenceFailed("the run ended without an answer"))

    def _end(self, batch: Sequence[Ticket]) -> None:
        if self._running.pop(id(batch), None) is not None:
            self._on_end()


def _answer(batch: Sequence[Ticket], parts: Sequence[Arrays]) -> None:
    for ticket, outputs in zip(batch, parts, strict=True):
        ticket.succeed(outputs)


def _tell(batch: Sequence[Ticket], error: SlipwayError) -> None:
    if not isinstance(error, (InputRefused, Cancelled)):  # what callers do is no news
        detail = getattr(error, "detail", "")
        _log.warning("a batch of %d failed: %s %s", len(batch), error, detail)
