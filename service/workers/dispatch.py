"""Which connection takes which batch: the least busy one that holds the model, else the queue here.

The same for the primary front end, whose pool adds and removes connections as workers come and go, and for
a secondary one, which is told about them. It owns no process and loads no model.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from models.errors import SlipwayError
from service.errors import Cancelled, WorkerLost
from service.generation.stats import EngineStats
from service.workers.base import Arrays, RunResult
from service.workers.connection import Answer, Connection, Job
from service.workers.hosted import Hosted
from service.workers.pulse import BATCH_LANE
from service.workers.streams import stream_events

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest

OnResult = Callable[[RunResult | SlipwayError], None]


class Dispatcher:
    """`on_end` is called when a connection was lost, after what it held got its outcome or a new place;
    `on_stats` with a model's handle and what its engine measured."""

    def __init__(
        self,
        on_end: Callable[[Connection], None],
        on_stats: Callable[[int, EngineStats], None] = lambda *_: None,
    ) -> None:
        self._on_end = on_end
        self.on_stats = on_stats
        self._waiting: deque[Job] = deque()
        self.started = 0  # batches sent to workers
        self.connections: list[Connection] = []

    @property
    def waiting(self) -> int:
        """Batches for which no worker had room."""
        return len(self._waiting)

    def is_calm(self) -> bool:
        """No worker runs a batch, for this front end or, as far as the pulses tell, for another."""
        for connection in self.connections:
            if connection.in_flight:
                return False
            if connection.is_shared and connection.pulse.doing(BATCH_LANE) is not None:
                return False
        return True

    def add(self, connection: Connection) -> None:
        self.connections.append(connection)
        self.on_free()

    def remove(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    def submit(self, model: Hosted, inputs: Arrays, on_result: OnResult) -> Job:
        """Run a batch; `on_result` is called once, in the loop's thread, perhaps before this returns.

        Set the job's `is_dropped` when nobody waits any more: it is not sent if it was not yet.
        """
        names = model.outputs

        def on_done(outcome: Answer | SlipwayError) -> None:
            if isinstance(outcome, SlipwayError):
                on_result(outcome)
            else:
                arrays, infer_s = outcome
                on_result(RunResult(dict(zip(names, arrays, strict=True)), infer_s))

        arrays = [inputs[name] for name in model.inputs]
        job = Job(model.handle, arrays, model.input_types, on_done)
        self._place(job)
        return job

    async def run(self, model: Hosted, inputs: Arrays) -> RunResult:
        """As `submit`, for `await`. Raises what the run ends with."""
        future: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()

        def on_result(result: RunResult | SlipwayError) -> None:
            if future.done():
                return
            if isinstance(result, SlipwayError):
                future.set_exception(result)
            else:
                future.set_result(result)

        job = self.submit(model, inputs, on_result)
        try:
            return await future
        except asyncio.CancelledError:
            job.is_dropped = True
            raise

    def generate(
        self, model: Hosted, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        for connection in self.connections:
            if connection.is_alive and model.handle in connection.handles:
                return stream_events(connection, model.handle, request.to_json())
        raise WorkerLost(f"the worker of model {model.key} is being replaced; send it again")

    def refuse(self, handle: int, error: SlipwayError) -> None:
        """Answer the batches of one model that wait here."""
        refused = [job for job in self._waiting if job.handle == handle]
        self._waiting = deque(job for job in self._waiting if job.handle != handle)
        for job in refused:
            job.on_done(error)

    def close(self, error: SlipwayError) -> None:
        while self._waiting:
            self._waiting.popleft().on_done(error)

    # -- told by the connections ------------------------------------------------------------------

    def on_free(self) -> None:
        """Start what can start, oldest first; a model whose workers are full does not hold up others."""
        for _ in range(len(self._waiting)):
            self._place(
                self._waiting.popleft()
            )  # the whole round keeps the order of those that stay

    def on_lost(self, connection: Connection, unbegun: list[Job]) -> None:
        self.remove(connection)
        for job in unbegun:
            job.is_resent = True
        self._waiting.extendleft(reversed(unbegun))  # they have waited longest
        self._on_end(connection)
        self.on_free()

    def _place(self, job: Job) -> None:
        if job.is_dropped:
            job.on_done(Cancelled("nobody waits for this batch any more"))
            return
        connection = self._pick(job.handle)
        if connection is None:
            self._waiting.append(job)
        else:
            self.started += 1
            connection.run(job, is_alone=self.is_calm())

    def _pick(self, handle: int) -> Connection | None:
        """The least busy with room; the first of equals, whose caches are warm."""
        best: Connection | None = None
        for connection in self.connections:
            if not connection.has_room or handle not in connection.handles:
                continue
            if best is None or connection.in_flight < best.in_flight:
                best = connection
        return best
