"""Worker processes as one pool: every batch model on all of them, a generation model on one.

What a lost worker was doing is answered with an error, what waited behind it moves on, and its replacement
gets the models. A model that was running when its worker was lost is put in quarantine; after several
losses in a short while it is not run again until it is loaded anew.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from models.bundle import Bundle
from models.errors import SlipwayError
from service import memory
from service.errors import NotReady
from service.generation.stats import EngineStats
from service.selection.choice import Choice, reference
from service.selection.trial import Comparison
from service.threads import ThreadPlan
from service.workers.admittance import Admittance
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult, WorkerInfo
from service.workers.channel import Op
from service.workers.child import Child
from service.workers.connection import Connection, Job
from service.workers.crashes import CrashLedger
from service.workers.dispatch import Dispatcher, OnResult
from service.workers.elastic import Elastic
from service.workers.examination import Examiner
from service.workers.hosted import Hosted
from service.workers.inspection import Inspection
from service.workers.ledger import MemoryLedger, room_of
from service.workers.options import HostOptions
from service.workers.placement import Placed, load_on
from service.workers.quarantine import Quarantine
from service.workers.supervisor import Supervisor
from service.workers.tasks import Tasks

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest

_log = logging.getLogger("slipway.pool")

_TRIES = 3


class ProcessPool:
    """`on_restart` is told the reason whenever a worker was lost: `lost` or `hung`; `on_stats` what the
    engine of a generation model has measured since its last report.

    `wide_threads`: what a batch that is alone may use, where more than a worker's share pays; 0: no more.
    """

    def __init__(
        self,
        workers: int,
        options: HostOptions,
        *,
        wide_threads: int = 0,
        hang_timeout_s: float = 60.0,
        load_timeout_s: float = 60.0,
        load_memory_bytes: int = 0,
        memory_limit_bytes: int = 0,
        max_batch_size: int = 0,
        on_restart: Callable[[str], None] = lambda _: None,
        on_stats: Callable[[ModelKey, EngineStats], None] = lambda *_: None,
    ) -> None:
        self._options = options
        self._wide_threads = wide_threads
        self._hang_timeout_s = hang_timeout_s
        self._on_restart = on_restart
        self._on_stats = on_stats
        self._models: dict[ModelKey, Placed] = {}
        self._reports: dict[ModelKey, LoadReport] = {}
        self._loading = 0
        self._handles = count(1)
        self._tasks = Tasks()
        clock = asyncio.get_running_loop().time
        self._crashes = CrashLedger(clock)
        self._examiner = Examiner(
            options,
            timeout_s=load_timeout_s,
            memory_bytes=load_memory_bytes,
            max_batch_size=max_batch_size,
        )
        room = partial(room_of, memory_limit_bytes, self._own_pids)
        self.memory = MemoryLedger(room, self._workers_bytes)
        self._admittance = Admittance(
            self.memory, lambda: self._loading > 1 or self._examiner.is_busy
        )
        self._dispatcher = Dispatcher(self._ended, self._measured)
        self._quarantine = Quarantine(
            self._dispatcher, self._make, self._fill_ward, self._release, clock=clock
        )
        self._elastic = Elastic(
            wide_threads,
            self._tasks,
            models=self._described,
            first=self._first,
            is_calm=self._is_calm,
            started=lambda: self._dispatcher.started,
            memory=self.memory,
        )
        self._supervisor = Supervisor(
            workers,
            self._dispatcher,
            Inspection(hang_timeout_s, load_timeout_s),
            make=self._make,
            fill=self._fill,
            look=self._look,
        )

    @property
    def size(self) -> int:
        return len(self._supervisor.children)

    @property
    def is_healthy(self) -> bool:
        return self._supervisor.is_healthy

    def pids(self) -> list[int]:
        return [child.pid for child in self._supervisor.children if child is not None]

    def workers(self) -> list[WorkerInfo]:
        return [
            *self._supervisor.describe(self._names),
            *self._quarantine.describe(),
            *self._examiner.describe(),
        ]

    async def start(self) -> None:
        self._supervisor.start()

    async def close(self) -> None:
        await self._tasks.cancel()
        await self._examiner.close()
        await self._quarantine.close()
        await self._supervisor.close()
        self._dispatcher.close(NotReady("the server is ending"))

    async def examine(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        """Open it and replay its exam where nobody else can be hurt. Raises BundleError."""
        choice = choice or reference(bundle.manifest, self._options.provider)
        key = ModelKey(bundle.name, bundle.version)
        await self._admittance.before_exam(key, bundle, choice)
        report = await self._examiner.examine(bundle, choice)
        self._admittance.examined(key, choice, report.memory)
        return report

    async def compare(
        self, bundle: Bundle, base: Choice, rivals: Sequence[Choice], time_s: float
    ) -> Comparison:
        """Time ways of running it, where nobody else can be hurt. Raises BundleError."""
        return await self._examiner.compare(bundle, base, rivals, time_s)

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        self._loading += 1
        choice = choice or reference(bundle.manifest, self._options.provider)
        model = Placed(Hosted.of(bundle, next(self._handles)), bundle, self.size, choice)
        most_rows = self._examiner.most_rows(bundle, choice)
        try:
            async with self._admittance.loading(model, most_rows):
                report = await self._load(model)
                self._admittance.loaded(model, report, most_rows)
            self._tell_threads(model, report)
        finally:
            self._loading -= 1
        return report

    async def _load(self, model: Placed) -> LoadReport:
        reports: list[LoadReport] = []
        for _ in range(_TRIES):
            # Again for a worker that came up meanwhile: `_fill` could not yet know of this model.
            while lacking := self._lacking(model):
                loads = (self._load_on(child, model) for child in lacking)
                results = await asyncio.gather(*loads, return_exceptions=True)
                for result in results:
                    if isinstance(result, BaseException):
                        await self._unload_everywhere(model)
                        raise result
                    if result is not None:
                        reports.append(result)
            if reports:
                break
            await self._supervisor.full()  # what held up to now was lost to another model
        else:
            raise NotReady(f"workers are lost while {model.key} is loaded; try again in a moment")
        report = max(reports, key=lambda report: report.seconds)
        self._models[model.key], self._reports[model.key] = model, report
        return report

    def _tell_threads(self, model: Placed, report: LoadReport) -> None:
        """Text models compute beside the batches, perhaps on more threads than there are cores."""
        texts = sum(placed.hosted.is_generation for placed in self._models.values())
        shape = ThreadPlan(self.size, self._options.threads, max(self._wide_threads, 1))
        beyond = shape.beyond(texts)
        if model.hosted.is_generation and beyond:
            told = (
                f"{shape.busy(texts)} while batches and {texts} text models are at work, {beyond} more than "
                "there are cores; fewer --workers leave room"
            )
            report.details["threads"] = told
            _log.info("%s: threads: %s", model.key, told)

    async def _load_on(self, child: Child, model: Placed) -> LoadReport | None:
        report = await load_on(child, model)
        if report is not None:
            self.memory.saw(child.pid, report.memory.before_bytes)
        return report

    async def unload(self, key: ModelKey) -> None:
        model = self._models.pop(key, None)
        self._reports.pop(key, None)
        self.memory.forget(key)
        if model is not None:
            self._quarantine.forget(model.handle)
            await self._unload_everywhere(model)

    def submit(self, key: ModelKey, inputs: Arrays, on_result: OnResult) -> Job:
        return self._dispatcher.submit(self._get(key).hosted, inputs, on_result)

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        return await self._dispatcher.run(self._get(key).hosted, inputs)

    def generate(
        self, key: ModelKey, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        return self._dispatcher.generate(self._get(key).hosted, request)

    def _get(self, key: ModelKey) -> Placed:
        model = self._models.get(key)
        if model is None:
            raise NotReady(f"model {key} is not loaded")
        handle = model.handle
        if handle in self._quarantine:
            self._quarantine.need(handle)
        elif self._crashes.is_refused(handle):
            raise refusal(key)
        return model

    def _own_pids(self) -> list[int]:
        return [os.getpid(), *(worker.pid for worker in self.workers())]

    def _workers_bytes(self) -> dict[int, int]:
        return {pid: memory.resident_bytes(pid) for pid in self.pids()}

    def _names(self, handles: Iterable[int]) -> tuple[str, ...]:
        return tuple(str(m.key) for m in self._models.values() if m.handle in handles)

    # -- where models are ---------------------------------------------------------------------------

    def _make(self) -> Child:
        return Child(self._options, self._dispatcher, self._hang_timeout_s)

    def _lacking(self, model: Placed) -> list[Child]:
        """Workers that are up and should hold the model, but do not."""
        places = enumerate(self._supervisor.children)
        return [
            child
            for index, child in places
            if child is not None
            and child.is_alive
            and model.belongs_on(index)
            and model.handle not in child.handles
        ]

    async def _fill(self, index: int, child: Child) -> None:
        """Give a new worker its models; one that cannot be loaded any more is left out and logged."""
        tried: set[int] = set()
        while missing := [
            model
            for model in self._models.values()
            if model.belongs_on(index)
            and model.handle not in tried
            and model.handle not in self._quarantine
            and not self._crashes.is_refused(model.handle)
        ]:
            tried.update(model.handle for model in missing)
            loads = (self._load_on(child, model) for model in missing)
            results = await asyncio.gather(*loads, return_exceptions=True)
            for model, result in zip(missing, results, strict=True):
                if isinstance(result, SlipwayError):
                    why = result.message
                    _log.error("model %s is missing on worker %d: %s", model.key, index, why)

    async def _unload_everywhere(self, model: Placed) -> None:
        holders = [child for child in self._supervisor.children if child is not None]
        for child in holders:
            child.handles.discard(model.handle)
        await asyncio.gather(
            *(child.connection.call(Op.UNLOAD, model.handle) for child in holders),
            return_exceptions=True,
        )

    def _described(self) -> Iterable[tuple[Placed, LoadReport]]:
        for key, model in self._models.items():
            if not model.hosted.is_generation and model.choice.provider == "cpu":
                yield model, self._reports[key]

    def _first(self) -> Child | None:
        """The worker that gets a batch when all are idle."""
        connections = self._dispatcher.connections
        return self._supervisor.owner_of(connections[0]) if connections else None

    def _is_calm(self) -> bool:
        return not self._loading and self._dispatcher.is_calm()

    # -- what goes wrong ----------------------------------------------------------------------------

    def _look(self) -> Iterable[Child]:
        self._quarantine.look()
        if self._wide_threads > self._options.threads:
            self._elastic.look()
        return list(self._quarantine.children())

    def _ended(self, connection: Connection) -> None:
        suspects = {doing.handle for doing in connection.pulse.everything()}
        alone = self._quarantine.owner_of(connection)
        child = alone or self._supervisor.owner_of(connection)
        if child is None:
            return
        for model in self._models.values():
            if model.hosted.is_generation and model.handle in connection.handles:
                self._on_stats(model.key, EngineStats())  # nothing runs or waits there any more
        reason = "hung" if child.verdict is not None else "lost"
        guilty = [model for model in self._models.values() if model.handle in suspects]
        names = ", ".join(str(model.key) for model in guilty) or "nothing"
        _log.warning("worker (pid %d) %s while it ran %s", child.pid, reason, names)
        self._on_restart(reason)
        if alone is not None:
            self._quarantine.ended(alone)
        for model in guilty:
            self._isolate(model)
        if alone is None:
            self._supervisor.replace(child)

    def _measured(self, handle: int, stats: EngineStats) -> None:
        for key, model in self._models.items():
            if model.handle == handle:
                self._on_stats(key, stats)

    def _isolate(self, model: Placed) -> None:
        """Alone from now on, or refused when it has ended too many workers."""
        handle = model.handle
        for child in self._supervisor.children:
            if child is not None:
                child.handles.discard(handle)
        self._crashes.record(handle)
        if self._crashes.is_refused(handle):
            _log.error("model %s took workers down repeatedly and is not run any more", model.key)
            self._quarantine.forget(handle)
            self._dispatcher.refuse(handle, refusal(model.key))
        else:
            self._quarantine.admit(model.hosted)
        self._tasks.start(self._unload_everywhere(model))

    async def _fill_ward(self, child: Child, model: Hosted) -> None:
        report = await load_on(child, self._models[model.key])
        if report is None:
            raise NotReady(f"model {model.key} could not be loaded; try again in a moment")

    async def _release(self, model: Hosted) -> None:
        """Back to the other workers; requests go to the ward until it is there."""
        placed = self._models[model.key]
        lacking = self._lacking(placed)
        await asyncio.gather(*(load_on(child, placed) for child in lacking))


def refusal(key: ModelKey) -> NotReady:
    """What callers of a model are told that ended too many workers."""
    return NotReady(
        f"model {key} took workers down repeatedly and is not run any more until it is loaded anew",
        retry_after_s=None,
    )
