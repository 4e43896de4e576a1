"""`--isolation none`: models in the server's own process, on threads. Smaller, with fewer promises.

Dropped: a crash in native code ends the server, a hung kernel cannot be stopped, and loading a damaged
graph is not contained.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from models.bundle import Bundle
from service.errors import NotReady
from service.runtimes.base import SessionOptions
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult, WorkerInfo
from service.workers.host import ModelHost

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest


class InProcessPool:
    """`workers` threads, each running one batch at a time."""

    def __init__(self, workers: int, options: SessionOptions) -> None:
        self._workers = workers
        self._host = ModelHost(options)
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

    async def load(self, bundle: Bundle) -> LoadReport:
        handle = next(self._next_handle)
        loop = asyncio.get_running_loop()
        report = await loop.run_in_executor(self._threads, self._host.load, handle, bundle)
        self._handles[ModelKey(bundle.name, bundle.version)] = handle
        return report

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
        from service.generation.request import GenerationEvent

        handle, ident = self._get(key), next(self._idents)
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[bytes] = asyncio.Queue()

        def emit(_: int, payload: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; so has whoever listened
                loop.call_soon_threadsafe(events.put_nowait, payload)

        self._host.generate(handle, ident, request.to_json(), emit)
        is_finished = False
        try:
            while not is_finished:
                event = GenerationEvent.from_json(await events.get())
                is_finished = event.finish_reason is not None
                yield event
        finally:
            if not is_finished:
                self._host.cancel(handle, ident)

    def _get(self, key: ModelKey) -> int:
        handle = self._handles.get(key)
        if handle is None:
            raise NotReady(f"model {key} is not loaded")
        return handle
