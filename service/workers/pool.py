"""Worker processes as one pool: every batch model on all of them, a generation model on one.

What a lost worker held has already been answered with WorkerLost when its replacement gets the models.
A model that took workers down several times in a short while is not run again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import orjson

from models.bundle import Bundle
from models.errors import BundleError, SlipwayError
from service.errors import NotReady, WorkerLost
from service.runtimes.base import SessionOptions
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult
from service.workers.channel import Op
from service.workers.child import Child
from service.workers.connection import Connection, Job
from service.workers.crashes import CrashLedger
from service.workers.dispatch import Dispatcher, OnResult
from service.workers.examination import Examiner
from service.workers.hosted import Hosted
from service.workers.supervisor import Supervisor

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest

_log = logging.getLogger("slipway.pool")


@dataclass(frozen=True)
class _Placed:
    """A model and where it belongs. `home`: the only worker that holds it; None: all do."""

    hosted: Hosted
    bundle: Bundle
    home: int | None

    @property
    def handle(self) -> int:
        return self.hosted.handle


class ProcessPool:
    """`on_restart` is told the reason whenever a worker is replaced."""

    def __init__(
        self,
        workers: int,
        options: SessionOptions,
        *,
        hang_timeout_s: float = 60.0,
        load_timeout_s: float = 60.0,
        load_memory_bytes: int = 0,
        on_restart: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._load_timeout_s = load_timeout_s
        self._models: dict[ModelKey, _Placed] = {}
        self._handles = count(1)
        self._crashes = CrashLedger(lambda: asyncio.get_running_loop().time())
        self._examiner = Examiner(options, timeout_s=load_timeout_s, memory_bytes=load_memory_bytes)
        self._dispatcher = Dispatcher(self._ended)
        self._supervisor = Supervisor(
            workers,
            options,
            self._dispatcher,
            hang_timeout_s=hang_timeout_s,
            on_up=self._restore,
            on_restart=on_restart,
        )

    @property
    def size(self) -> int:
        return len(self._supervisor.children)

    @property
    def is_healthy(self) -> bool:
        return self._supervisor.is_healthy

    def pids(self) -> list[int]:
        return [child.pid for child in self._supervisor.children if child is not None]

    async def start(self) -> None:
        self._supervisor.start()

    async def close(self) -> None:
        await self._examiner.close()
        await self._supervisor.close()
        self._dispatcher.close(WorkerLost("the server is ending"))

    async def examine(self, bundle: Bundle) -> LoadReport:
        """Open it and replay its exam where nobody else can be hurt. Raises BundleError."""
        return await self._examiner.examine(bundle)

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
        self._models[model.hosted.key] = model
        return max(reports, key=lambda report: report.seconds)

    async def unload(self, key: ModelKey) -> None:
        model = self._models.pop(key, None)
        if model is not None:
            await self._unload_everywhere(model)

    def submit(self, key: ModelKey, inputs: Arrays, on_result: OnResult) -> Job:
        return self._dispatcher.submit(self._get(key).hosted, inputs, on_result)

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        return await self._dispatcher.run(self._get(key).hosted, inputs)

    def generate(
        self, key: ModelKey, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        return self._dispatcher.generate(self._get(key).hosted, request)

    def _lacking(self, model: _Placed) -> list[Child]:
        """Workers that are up and should hold the model, but do not."""
        children = self._supervisor.children
        homes = range(self.size) if model.home is None else (model.home,)
        return [
            child
            for index in homes
            if (child := children[index]) is not None and model.handle not in child.handles
        ]

    def _get(self, key: ModelKey) -> _Placed:
        model = self._models.get(key)
        if model is None:
            raise NotReady(f"model {key} is not loaded")
        if self._crashes.is_refused(model.handle):
            raise NotReady(
                f"model {key} took workers down repeatedly and is not run any more", None
            )
        return model

    def _ended(self, connection: Connection) -> None:
        for doing in connection.pulse.everything():
            self._crashes.record(doing.handle)
        self._supervisor.ended(connection)

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
                    _log.error("model %s is missing on worker %d: %s", model.hosted.key, index, why)

    async def _load_on(self, child: Child, model: _Placed) -> LoadReport:
        bundle = model.bundle
        order = {"path": str(bundle.path), "created_at": bundle.manifest.created_at}
        try:
            async with asyncio.timeout(self._load_timeout_s):
                answer = await child.connection.call(Op.LOAD, model.handle, orjson.dumps(order))
        except TimeoutError:
            child.kill()
            limit = f"{self._load_timeout_s:g} s"
            raise BundleError(f"model {model.hosted.key} did not load within {limit}") from None
        except WorkerLost as error:
            raise BundleError(
                f"model {model.hosted.key} took its worker down while loading"
            ) from error
        child.handles.add(model.handle)
        return LoadReport(**orjson.loads(answer))

    async def _unload_everywhere(self, model: _Placed) -> None:
        holders = [child for child in self._supervisor.children if child is not None]
        for child in holders:
            child.handles.discard(model.handle)
        await asyncio.gather(
            *(child.connection.call(Op.UNLOAD, model.handle) for child in holders),
            return_exceptions=True,
        )

    def _describe(self, bundle: Bundle) -> _Placed:
        hosted = Hosted.of(bundle, next(self._handles))
        home = hosted.handle % self.size if hosted.is_generation else None
        return _Placed(hosted, bundle, home)
