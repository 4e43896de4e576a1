"""`--isolation none`: models in the server's own process, on threads. Smaller, with fewer promises.

Dropped: a crash in native code ends the server, a hung kernel cannot be stopped, and loading a damaged
graph is not contained.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import Bundle
from service.errors import NotReady
from service.selection.choice import Choice
from service.selection.trial import Comparing, Comparison
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult, WorkerInfo
from service.workers.host import ModelHost, examine
from service.workers.options import HostOptions

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest
    from service.generation.requests import Events
    from service.generation.stats import EngineStats


class InProcessPool:
    """`workers` threads, each running one batch at a time. `on_stats` is called in the loop's thread."""

    def __init__(
        self,
        workers: int,
        options: HostOptions,
        on_stats: "Callable[[ModelKey, EngineStats], None]" = lambda *_: None,
    ) -> None:
        self._workers = workers
        self._on_stats = on_stats
        self._host = ModelHost(options)
        self._host.on_stats = self._report
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[int, asyncio.Queue[GenerationEvent]] = {}
        self._threads = ThreadPoolExecutor(workers, "slipway-worker")
        self._handles: dict[ModelKey, int] = {}
        self._next_handle = count(1)
        self._idents = count(1)

    @property
    def size(self) -> int:
        return self._workers

    @property
    def is_healthy(self) -> bool:
        return True

    def pids(self) -> list[int]:
        return []

    def workers(self) -> list[WorkerInfo]:
        return []

    async def start(self) -> None:
        """Threads start with the first work."""

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._host.close)

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        handle = next(self._next_handle)
        loop = asyncio.get_running_loop()
        report = await loop.run_in_executor(self._threads, self._host.load, handle, bundle, choice)
        self._handles[ModelKey(bundle.name, bundle.version)] = handle
        return report

    async def compare(
        self, bundle: Bundle, base: Choice, rivals: Sequence[Choice], time_s: float
    ) -> Comparison:
        """Time ways of running it, in this very process: one that crashes takes the server with it."""
        comparing = Comparing(self._host.open, examine, time_s=time_s)
        return await asyncio.to_thread(comparing.compare, bundle, base, rivals)

    async def unload(self, key: ModelKey) -> None:
        handle = self._handles.pop(key, None)
        if handle is not None:
            await asyncio.to_thread(self._host.unload, handle)

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        model = self._host.model(self._get(key))
        # A tensor of a binary request may begin at any byte; native code is not promised to cope.
        arrays = [np.require(inputs[name], requirements="A") for name in model.inputs]
        loop = asyncio.get_running_loop()
        outputs, infer_s = await loop.run_in_executor(self._threads, model.run, arrays)
        return RunResult(dict(zip(model.outputs, outputs, strict=True)), infer_s)

    async def generate(
        self, key: ModelKey, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        handle, ident = self._get(key), next(self._idents)
        self._loop = asyncio.get_running_loop()
        events = self._streams[ident] = asyncio.Queue()
        is_finished = False
        try:
            self._host.generate(handle, ident, request.to_json(), self._emit)
            while not is_finished:
                event = await events.get()
                is_finished = event.finish_reason is not None
                yield event
        finally:
            del self._streams[ident]
            if not is_finished:
                self._host.cancel(handle, ident)

    def _emit(self, events: "Events") -> None:
        """By a model's thread: one wake-up of the loop for all events of a step."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended; so has whoever listened
            self._loop.call_soon_threadsafe(self._deliver, events)

    def _deliver(self, events: "Events") -> None:
        for ident, event in events:
            if ident in self._streams:
                self._streams[ident].put_nowait(event)

    def _report(self, handle: int, stats: "EngineStats") -> None:
        """By a model's thread."""
        if self._loop is None:
            return  # nothing was asked yet
        with contextlib.suppress(RuntimeError):  # as above
            self._loop.call_soon_threadsafe(self._told, handle, stats)

    def _told(self, handle: int, stats: "EngineStats") -> None:
        for key, own in self._handles.items():
            if own == handle:
                self._on_stats(key, stats)

    def _get(self, key: ModelKey) -> int:
        handle = self._handles.get(key)
        if handle is None:
            raise NotReady(f"model {key} is not loaded")
        return handle
