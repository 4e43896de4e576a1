"""A front end's end of its connection to one worker: batches, calls and streams, and their answers.

Belongs to the event loop. It owns no process: the primary front end has a `Child` around it, a secondary
one builds it from descriptors that the primary sent. When the worker ends, everything that waits here gets
its outcome, once: batches that never began go to `on_lost`, which may send them elsewhere; the rest gets
WorkerLost.
"""

import asyncio
import contextlib
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from models.datatypes import TypeInfo
from models.errors import InferenceFailed, SlipwayError
from service.errors import BadRequest, WorkerLost
from service.generation.request import GenerationEvent, decode_events
from service.generation.stats import EngineStats
from service.workers import failures
from service.workers.arena import ArenaError
from service.workers.channel import INFER_SECONDS, Message, Op
from service.workers.link import Link
from service.workers.pulse import BATCH_LANE, Pulse
from service.workers.tensors import TensorReader, TensorWriter
from service.workers.wiring import Wiring

Answer = tuple[list[np.ndarray], float]
"""Output arrays in manifest order, seconds of the graph."""

Events = asyncio.Queue[GenerationEvent | SlipwayError]


class Job:
    """A batch on its way: arrays with batch axis in manifest order, and who waits for the answer.

    `on_done` is called once, in the loop's thread. `is_dropped`: nobody waits any more, do not send it.
    `is_resent`: it was queued at a worker that ended, and will not be moved a second time.
    """

    __slots__ = ("arrays", "handle", "is_dropped", "is_resent", "on_done", "types")

    def __init__(
        self,
        handle: int,
        arrays: Sequence[np.ndarray],
        types: Sequence[TypeInfo],
        on_done: Callable[[Answer | SlipwayError], None],
    ) -> None:
        self.handle = handle
        self.arrays = arrays
        self.types = types
        self.on_done = on_done
        self.is_dropped = False
        self.is_resent = False


class Owner(Protocol):
    """Whoever distributes work over connections."""

    def on_free(self) -> None:
        """Room has appeared."""

    def on_stats(self, handle: int, stats: EngineStats) -> None:
        """What a generation model's engine has measured since its last report."""

    def on_lost(self, connection: "Connection", unbegun: list[Job]) -> None:
        """The worker has ended, or talks nonsense. `unbegun` are now the owner's to answer."""


class Connection:
    """`handles`: the models that the worker holds and that may be sent there; kept by the owner."""

    def __init__(self, wiring: Wiring, owner: Owner) -> None:
        self._wiring = wiring
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._free = list(range(len(wiring.arenas)))
        self._writers = [TensorWriter(inputs) for inputs, _ in wiring.arenas]
        self._readers = [TensorReader(outputs) for _, outputs in wiring.arenas]
        self._runs: dict[int, tuple[Job, int]] = {}  # request id → job, slot
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._streams: dict[int, Events] = {}
        self._ident = 0
        self.handles: set[int] = set()
        self.is_alive = True
        self.is_shared = wiring.number > 0  # other front ends have the worker compute, too
        self._link = Link(wiring.sock, self._on_message, self._on_eof)

    @property
    def pulse(self) -> Pulse:
        """Readable also after the end."""
        return self._wiring.pulse

    @property
    def in_flight(self) -> int:
        return len(self._runs)

    @property
    def is_busy(self) -> bool:
        """A batch or a generation of this front end is under way."""
        return bool(self._runs or self._streams)

    @property
    def has_room(self) -> bool:
        return self.is_alive and bool(self._free)

    def run(self, job: Job, *, is_alone: bool = False) -> None:
        """Send a batch; there must be room. Whatever happens, the job gets its outcome.

        `is_alone`: no other batch runs anywhere, so this one may have all cores.
        """
        slot = self._free[-1]
        try:
            records = self._writers[slot].write(job.handle, job.arrays, job.types)
        except Exception as error:  # no memory, or wrong arrays: this job's alone
            job.on_done(InferenceFailed("the batch could not be sent", str(error)))
            return
        self._free.pop()
        self._ident = ident = self._ident + 1
        self._runs[ident] = (job, slot)
        op = Op.RUN_ALONE if is_alone else Op.RUN
        self._link.send(op, slot, job.handle, ident, records)

    async def call(self, op: Op, handle: int, body: bytes = b"") -> bytes:
        """LOAD, UNLOAD …, and its answer. Raises what the worker reports, or WorkerLost."""
        with self._expect_answer() as (ident, answer):
            self._link.send(op, 0, handle, ident, body)
            return await answer

    async def attach(self, number: int, descriptors: Sequence[int]) -> None:
        """Let the worker serve another connection, whose end (`Wiring.for_worker`) goes with this."""
        self.is_shared = True
        with self._expect_answer() as (ident, answer):
            self._link.send_descriptors(Op.ATTACH, number, ident, descriptors)
            await answer

    def open_stream(self, handle: int, payload: bytes) -> tuple[int, Events]:
        """Start a generation; its events, or the error that ends it, arrive in the queue."""
        self._require_alive()
        self._ident = ident = self._ident + 1
        events: Events = asyncio.Queue()
        self._streams[ident] = events
        self._link.send(Op.GENERATE, 0, handle, ident, payload)
        return ident, events

    def close_stream(self, handle: int, ident: int, *, cancel: bool) -> None:
        self._streams.pop(ident, None)
        if cancel and self.is_alive:
            self._link.send(Op.CANCEL, 0, handle, ident)

    def close(self, error: SlipwayError) -> None:
        """Tell everybody who waits, give memory and descriptors back. May be called twice."""
        for job in self._release(error):
            job.on_done(error)

    def lose(self, error: SlipwayError) -> None:
        """As when the worker had ended: it cannot be believed, or will not answer any more."""
        if self.is_alive:
            unbegun = self._release(error)
            self._owner.on_lost(self, unbegun)

    @contextlib.contextmanager
    def _expect_answer(self) -> "Iterator[tuple[int, asyncio.Future[bytes]]]":
        self._require_alive()
        self._ident = ident = self._ident + 1
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._calls[ident] = future
        try:
            yield ident, future
        finally:
            del self._calls[ident]

    def _require_alive(self) -> None:
        """A closed channel would take a message and never answer."""
        if not self.is_alive:
            raise WorkerLost("the worker has ended; send it again")

    def _on_message(self, message: Message) -> None:
        try:
            finished = self._read(message)
        except (ArenaError, BadRequest, struct.error, ValueError, LookupError) as error:
            # What it says makes no sense, so nothing it says can be trusted: away with it.
            why = f"the worker that held the request sent nonsense ({type(error).__name__})"
            self.lose(WorkerLost(f"{why}; send it again"))
            return
        if finished is not None:
            # The worker gets its next batch before anybody looks at this one's answer.
            self._owner.on_free()
            job, outcome = finished
            job.on_done(outcome)

    def _read(self, message: Message) -> "tuple[Job, Answer | SlipwayError] | None":
        """The batch that this message ends, if it does, and its outcome."""
        op, ident = message.op, message.ident
        if op == Op.RESULT:
            slot = self._runs[ident][1]
            (infer_s,) = INFER_SECONDS.unpack_from(message.body)
            views = self._readers[slot].read(message.body[INFER_SECONDS.size :])
            # Copied, because the next batch in this slot overwrites the memory.
            return self._end_run(ident), ([view.copy() for view in views], infer_s)
        if op == Op.EVENTS:
            for ident, event in decode_events(bytes(message.body)):
                if ident in self._streams:
                    self._streams[ident].put_nowait(event)
        elif op == Op.STATS:
            self._owner.on_stats(message.model, EngineStats.from_json(bytes(message.body)))
        elif op == Op.FAILED:
            error = failures.from_json(message.body)
            if ident in self._runs:
                return self._end_run(ident), error
            self._fail(ident, error)
        elif op == Op.DONE and ident in self._calls and not self._calls[ident].done():
            self._calls[ident].set_result(bytes(message.body))
        return None

    def _end_run(self, ident: int) -> Job:
        job, slot = self._runs.pop(ident)
        self._free.append(slot)
        return job

    def _fail(self, ident: int, error: SlipwayError) -> None:
        if ident in self._calls:
            if not self._calls[ident].done():
                self._calls[ident].set_exception(error)
        elif ident in self._streams:
            self._streams[ident].put_nowait(error)

    def _on_eof(self) -> None:
        self.lose(WorkerLost("the worker that held the request has ended; send it again"))

    def _release(self, error: SlipwayError) -> list[Job]:
        """Everything is told but the batches that never began and stand behind another model's; those
        are returned."""
        if not self.is_alive:
            return []
        self.is_alive = False
        self._link.close()
        running = self._wiring.pulse.doing(BATCH_LANE)
        guilty = running.handle if running is not None else None
        jobs = [job for job, _ in self._runs.values()]
        self._runs.clear()
        for call in self._calls.values():
            if not call.done():
                call.set_exception(error)
        for events in self._streams.values():
            events.put_nowait(error)
        self._wiring.close()
        for job in jobs:
            if job.handle == guilty or job.is_resent:
                job.on_done(error)
        return [job for job in jobs if job.handle != guilty and not job.is_resent]
