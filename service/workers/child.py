"""The front end's side of one worker process: start it, talk to it, notice its end.

Belongs to the event loop. A child that ends takes with it exactly what it held: every call that waits for
it gets WorkerLost, once. What happens next (a new child, the models again) is the pool's.
"""

import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.datatypes import TypeInfo
from models.errors import SlipwayError
from service.errors import InferenceFailed, WorkerLost
from service.runtimes.base import SessionOptions
from service.workers import failures
from service.workers.arena import Arena, ArenaError
from service.workers.channel import INFER_SECONDS, Channel, Message, Op
from service.workers.link import Link
from service.workers.tensors import read_tensors, write_tensors

SLOTS = 2
"""Batches in flight per worker: one computed, one ready behind it, so that models take turns at once."""

_ROOT = str(Path(__file__).parents[2])

Answer = tuple[list[np.ndarray], float]
"""Output arrays in manifest order, seconds of the graph."""

Events = asyncio.Queue[bytes | SlipwayError]


class Job(NamedTuple):
    """A batch on its way: arrays with batch axis in manifest order, and who waits for the answer."""

    handle: int
    arrays: Sequence[np.ndarray]
    types: Sequence[TypeInfo]
    future: "asyncio.Future[Answer]"


class _Run(NamedTuple):
    future: "asyncio.Future[Answer]"
    slot: int
    handle: int


class Child:
    """One process. `on_free` is called when room appears, `on_end` once, when the process is lost."""

    def __init__(
        self,
        options: SessionOptions,
        on_free: Callable[[], None],
        on_end: Callable[["Child"], None],
    ) -> None:
        self._on_free = on_free
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._arenas = [(Arena.create("in"), Arena.create("out")) for _ in range(SLOTS)]
        self._free = list(range(SLOTS))
        self._runs: dict[int, _Run] = {}
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._streams: dict[int, Events] = {}
        self._ident = 0
        self._busy_since = 0.0
        self._held: set[int] = set()
        self.handles: set[int] = set()
        self.is_alive = True
        ours, theirs = Channel.pair()
        with theirs:
            self.process = _spawn(theirs, self._arenas, options)
        self._link = Link(ours, self._on_message, self._on_eof)

    @property
    def in_flight(self) -> int:
        return len(self._runs)

    @property
    def has_room(self) -> bool:
        return self.is_alive and bool(self._free)

    @property
    def busy_since(self) -> float | None:
        """`loop.time()` since when it has been computing one and the same batch; None when idle."""
        return self._busy_since if self._runs else None

    def running(self) -> set[int]:
        """Handles of the models whose batches it holds; after its end, held then."""
        return self._held or {run.handle for run in self._runs.values()}

    def run(self, job: Job) -> None:
        """Send a batch; there must be room. Whatever happens, the job's future gets an outcome."""
        slot = self._free[-1]
        try:
            records = write_tensors(job.arrays, job.types, self._arenas[slot][0])
        except Exception as error:  # no memory, or wrong arrays: this job's alone
            job.future.set_exception(InferenceFailed("the batch could not be sent", str(error)))
            return
        self._free.pop()
        ident = self._next_ident()
        if not self._runs:
            self._busy_since = self._loop.time()
        self._runs[ident] = _Run(job.future, slot, job.handle)
        self._link.send(Op.RUN, slot, job.handle, ident, records)

    async def call(self, op: Op, handle: int, body: bytes = b"") -> bytes:
        """LOAD or UNLOAD, and its answer. Raises what the worker reports, or WorkerLost."""
        self._require_alive()
        ident = self._next_ident()
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._calls[ident] = future
        self._link.send(op, 0, handle, ident, body)
        try:
            return await future
        finally:
            del self._calls[ident]

    def open_stream(self, handle: int, payload: bytes) -> tuple[int, Events]:
        """Start a generation; its events, or the error that ends it, arrive in the queue."""
        self._require_alive()
        ident = self._next_ident()
        events = self._streams[ident] = Events()
        self._link.send(Op.GENERATE, 0, handle, ident, payload)
        return ident, events

    def close_stream(self, handle: int, ident: int, *, cancel: bool) -> None:
        self._streams.pop(ident, None)
        if cancel and self.is_alive:
            self._link.send(Op.CANCEL, 0, handle, ident)

    def kill(self) -> None:
        """End it now; `on_end` follows when its channel closes."""
        self.process.kill()

    async def close(self) -> None:
        """End it in peace: it leaves when its channel closes, or is killed after two seconds."""
        self._release(WorkerLost("the server is ending"))
        try:
            await asyncio.to_thread(self.process.wait, 2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)

    def _require_alive(self) -> None:
        """A closed channel would take a message and never answer."""
        if not self.is_alive:
            raise WorkerLost("the worker has ended; send it again")

    def _next_ident(self) -> int:
        self._ident += 1
        return self._ident

    def _on_message(self, message: Message) -> None:
        try:
            self._dispatch(message)
        except (ArenaError, struct.error, ValueError, LookupError) as error:
            # What it says makes no sense, so nothing it says can be trusted: away with it.
            self._lost(f"the worker that held the request sent nonsense ({type(error).__name__})")

    def _dispatch(self, message: Message) -> None:
        if message.op == Op.RESULT:
            run = self._runs[message.ident]
            (infer_s,) = INFER_SECONDS.unpack_from(message.body)
            views = read_tensors(message.body[INFER_SECONDS.size :], self._arenas[run.slot][1])
            # Copied, because the next batch in this slot overwrites the memory.
            outputs = [view.copy() for view in views]
            self._end_run(message.ident)
            if not run.future.done():
                run.future.set_result((outputs, infer_s))
        elif message.op == Op.EVENT:
            if (stream := self._streams.get(message.ident)) is not None:
                stream.put_nowait(bytes(message.body))
        elif message.op == Op.FAILED:
            self._fail(message.ident, failures.from_json(message.body))
        elif message.op == Op.DONE and message.ident in self._calls:
            call = self._calls[message.ident]
            if not call.done():
                call.set_result(bytes(message.body))

    def _end_run(self, ident: int) -> None:
        self._free.append(self._runs.pop(ident).slot)
        self._busy_since = self._loop.time()
        self._on_free()

    def _fail(self, ident: int, error: SlipwayError) -> None:
        waiting = self._calls.get(ident)
        if ident in self._runs:
            future = self._runs[ident].future
            self._end_run(ident)
            if not future.done():
                future.set_exception(error)
        elif waiting is not None and not waiting.done():
            waiting.set_exception(error)
        elif (stream := self._streams.get(ident)) is not None:
            stream.put_nowait(error)

    def _on_eof(self) -> None:
        self._lost("the worker that held the request has ended")

    def _lost(self, why: str) -> None:
        if self.is_alive:
            self.process.kill()  # it may have closed its channel, or talk nonsense, without ending
            self._release(WorkerLost(f"{why}; send it again"))
            self._on_end(self)

    def _release(self, error: SlipwayError) -> None:
        """Tell everybody who waits, give memory and descriptors back. Once."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._held = self.running()
        self._link.close()
        for run in self._runs.values():
            if not run.future.done():
                run.future.set_exception(error)
        for call in self._calls.values():
            if not call.done():
                call.set_exception(error)
        for stream in self._streams.values():
            stream.put_nowait(error)
        self._runs.clear()
        for pair in self._arenas:
            for arena in pair:
                arena.close()


def _spawn(
    theirs: socket.socket, arenas: list[tuple[Arena, Arena]], options: SessionOptions
) -> "subprocess.Popen[bytes]":
    descriptors = [arena.descriptor for pair in arenas for arena in pair]
    # -P: a module in the working directory must not take the place of an installed one.
    command = [sys.executable, "-P", "-m", "service.workers.process"]
    command += ["--channel", str(theirs.fileno()), "--threads", str(options.threads)]
    command += ["--provider", options.provider, "--arenas", *map(str, descriptors)]
    search = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        command,
        pass_fds=[theirs.fileno(), *descriptors],
        stdin=subprocess.DEVNULL,
        process_group=0,  # signals to the server's group pass it by, also while it is still starting
        env={**os.environ, "PYTHONPATH": search},
    )
