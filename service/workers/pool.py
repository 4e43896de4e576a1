"""Worker processes as one pool: every batch model on all of them, a generation model on one.

What a lost worker held has already been answered with WorkerLost when its replacement gets the models.
A model that took workers down several times in a short while is not run again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import orjson

from models.bundle import Bundle
from models.datatypes import BY_ONNX, TypeInfo
from models.errors import BundleError, SlipwayError
from service.errors import NotReady, WorkerLost
from service.runtimes.base import SessionOptions
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult
from service.workers.channel import Op
from service.workers.child import Child, Job
from service.workers.crashes import CrashLedger
from service.workers.streams import stream_events
from service.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest

_log = logging.getLogger("slipway.pool")


@dataclass(frozen=True)
class _Hosted:
    """A model as the workers know it. `home`: the only worker that holds it; None: all do."""

    key: ModelKey
    bundle: Bundle
    handle: int
    home: int | None
    input_types: tuple[TypeInfo, ...]


class ProcessPool:
    """`on_restart` is told the reason whenever a worker is replaced."""

    def __init__(
        self,
        workers: int,
        options: SessionOptions,
        *,
        hang_timeout_s: float = 60.0,
        load_timeout_s: float = 60.0,
        on_restart: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._load_timeout_s = load_timeout_s
        self._models: dict[ModelKey, _Hosted] = {}
        self._handles = count(1)
        self._waiting: deque[Job] = deque()
        self._crashes = CrashLedger(lambda: asyncio.get_running_loop().time())
        self._supervisor = Supervisor(
            workers,
            options,
            hang_timeout_s=hang_timeout_s,
            on_free=self._serve_waiting,
            on_up=self._restore,
            on_lost=self._note_crash,
            on_restart=on_restart,
        )

    @property
    def size(self) -> int:
        return len(self._supervisor.children)

    @property
    def is_healthy(self) -> bool:
        return self._supervisor.is_healthy

    def pids(self) -> list[int]:
        return [child.process.pid for child in self._supervisor.children if child is not None]

    async def start(self) -> None:
        self._supervisor.start()

    async def close(self) -> None:
        await self._supervisor.close()
        while self._waiting:
            self._waiting.popleft().future.cancel()

    async def load(self, bundle: Bundle) -> LoadReport:
        model = self._describe(bundle)
        reports: list[LoadReport] = []
        # Again for a worker that came up meanwhile: `_restore` could not yet know of this model.
        while lacking := self._lacking(model):
            loads = (self._load_on(child, model) for child in lacking)
            results = await asyncio.gather(*loads, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    await self._unload_everywhere(model)
                    raise result
                reports.append(result)
        if not reports:
            raise NotReady("no worker is up; try again in a moment")
        self._models[model.key] = model
        return max(reports, key=lambda report: report.seconds)

    async def unload(self, key: ModelKey) -> None:
        model = self._models.pop(key, None)
        if model is not None:
            await self._unload_everywhere(model)

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        model = self._get(key)
        manifest = model.bundle.manifest
        arrays = [inputs[spec.name] for spec in manifest.inputs]
        job = Job(
            model.handle, arrays, model.input_types, asyncio.get_running_loop().create_future()
        )
        child = self._pick(model.handle)
        if child is None:
            self._waiting.append(job)
        else:
            child.run(job)
        outputs, infer_s = await job.future
        names = (spec.name for spec in manifest.outputs)
        return RunResult(dict(zip(names, outputs, strict=True)), infer_s)

    def generate(
        self, key: ModelKey, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        model = self._get(key)
        child = self._supervisor.children[model.home or 0]
        if child is None or model.handle not in child.handles:
            raise WorkerLost(f"the worker of model {key} is being replaced; send it again")
        return stream_events(child, model.handle, request.to_json())

    def _lacking(self, model: _Hosted) -> list[Child]:
        """Workers that are up and should hold the model, but do not."""
        children = self._supervisor.children
        homes = range(self.size) if model.home is None else (model.home,)
        return [
            child
            for index in homes
            if (child := children[index]) is not None and model.handle not in child.handles
        ]

    def _get(self, key: ModelKey) -> _Hosted:
        model = self._models.get(key)
        if model is None:
            raise NotReady(f"model {key} is not loaded")
        if self._crashes.is_refused(model.handle):
            raise NotReady(
                f"model {key} took workers down repeatedly and is not run any more", None
            )
        return model

    def _pick(self, handle: int) -> Child | None:
        """The least busy worker with room; the first of equals, whose caches are warm."""
        best: Child | None = None
        for child in self._supervisor.children:
            if child is None or not child.has_room or handle not in child.handles:
                continue
            if best is None or child.in_flight < best.in_flight:
                best = child
        return best

    def _serve_waiting(self) -> None:
        """Start what can start, oldest first; a model whose workers are full does not hold up others."""
        for _ in range(len(self._waiting)):
            job = self._waiting.popleft()
            if job.future.done():
                continue
            child = self._pick(job.handle)
            if child is None:
                self._waiting.append(job)  # the whole round keeps the order
            else:
                child.run(job)

    def _note_crash(self, child: Child) -> None:
        for handle in child.running():
            self._crashes.record(handle)

    async def _restore(self, index: int, child: Child) -> None:
        """Give a new worker its models; one that cannot be loaded any more is left out and logged."""
        tried: set[int] = set()
        while missing := [
            model
            for model in self._models.values()
            if model.home in (None, index) and model.handle not in tried
        ]:
            tried.update(model.handle for model in missing)
            loads = (self._load_on(child, model) for model in missing)
            results = await asyncio.gather(*loads, return_exceptions=True)
            for model, result in zip(missing, results, strict=True):
                if isinstance(result, SlipwayError):
                    why = result.message
                    _log.error("model %s is missing on worker %d: %s", model.key, index, why)

    async def _load_on(self, child: Child, model: _Hosted) -> LoadReport:
        bundle = model.bundle
        order = {"path": str(bundle.path), "created_at": bundle.manifest.created_at}
        try:
            async with asyncio.timeout(self._load_timeout_s):
                answer = await child.call(Op.LOAD, model.handle, orjson.dumps(order))
        except TimeoutError:
            child.kill()
            limit = f"{self._load_timeout_s:g} s"
            raise BundleError(f"model {model.key} did not load within {limit}") from None
        except WorkerLost as error:
            raise BundleError(f"model {model.key} took its worker down while loading") from error
        child.handles.add(model.handle)
        return LoadReport(**orjson.loads(answer))

    async def _unload_everywhere(self, model: _Hosted) -> None:
        holders = [child for child in self._supervisor.children if child is not None]
        for child in holders:
            child.handles.discard(model.handle)
        await asyncio.gather(
            *(child.call(Op.UNLOAD, model.handle) for child in holders), return_exceptions=True
        )

    def _describe(self, bundle: Bundle) -> _Hosted:
        handle = next(self._handles)
        manifest = bundle.manifest
        is_generation = manifest.runner == "generation"
        return _Hosted(
            ModelKey(bundle.name, bundle.version),
            bundle,
            handle,
            handle % self.size if is_generation else None,
            tuple(BY_ONNX[spec.dtype.value] for spec in manifest.inputs),
        )
