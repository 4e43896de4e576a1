"""A repository of real bundles and a pool that only pretends to run them, telling what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.errors import BundleError, ExamFailed, SlipwayError
from models.manifest import Gate
from service.lifecycle.lifecycle import Lifecycle
from service.observability.metrics import Metrics
from service.registry import ModelRegistry
from service.selection.choice import Choice
from service.settings import Settings
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult
from tests.service import graphs

FAILED_GATE = Gate(name="accuracy", limit=0.9, measured=0.5, comparison=">=", passed=False)


class Pool:
    """Answers every item with the version that "computed" it. `events`: what happened, in order."""

    size = 2
    is_healthy = True

    def __init__(self) -> None:
        self.events: list[str] = []
        self.held: dict[ModelKey, Bundle] = {}
        self.broken: dict[ModelKey, SlipwayError] = {}  # fails to load
        self.failing: set[ModelKey] = set()  # fails its exam
        self.gates: dict[str, asyncio.Event] = {}  # "load m/2" waits for its gate

    def pids(self) -> list[int]:
        return []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def examine(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        key = ModelKey(bundle.name, bundle.version)
        await self._say(f"examine {key}")
        if key in self.failing:
            raise ExamFailed(f"{key}: golden exam: wrong")
        return LoadReport(0.0, 0.0, "CPUExecutionProvider", 1)

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        key = ModelKey(bundle.name, bundle.version)
        assert key not in self.held, "a worker holds one of a number at a time"
        await self._say(f"load {key}")
        if key in self.broken:
            raise self.broken[key]
        self.held[key] = bundle
        return LoadReport(0.0, 0.0, "CPUExecutionProvider", 1)

    async def unload(self, key: ModelKey) -> None:
        if self.held.pop(key, None) is not None:
            await self._say(f"unload {key}")

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        await self._wait(f"run {key}")
        assert key in self.held, f"{key} was unloaded while its batch ran"
        rows = len(next(iter(inputs.values())))
        answer = np.full((rows, 4), key.version, np.float32)
        return RunResult({"y": answer}, 0.0)

    def generate(self, key: ModelKey, request: object) -> "AsyncIterator[object]":
        raise NotImplementedError(key)

    @contextmanager
    def holding(self, what: str) -> Iterator[asyncio.Event]:
        """Until the event is set, `what` does not get on."""
        gate = self.gates[what] = asyncio.Event()
        try:
            yield gate
        finally:
            gate.set()

    async def _say(self, what: str) -> None:
        self.events.append(what)
        await self._wait(what)

    async def _wait(self, what: str) -> None:
        await asyncio.sleep(0)
        if what in self.gates:
            await self.gates[what].wait()


class World:
    """Everything around a Lifecycle, in `folder`."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.repository.mkdir(exist_ok=True)
        self.settings = Settings(repository=self.repository, **settings)  # type: ignore[arg-type]
        self.pool = Pool()
        self.registry = ModelRegistry()
        self.metrics = Metrics({})
        self.lifecycle = Lifecycle(self.settings, self.registry, self.pool, self.metrics)  # type: ignore[arg-type]

    def publish(self, name: str = "m", gates: tuple[Gate, ...] = ()) -> Bundle:
        return graphs.doubler().publish(self.repository, name, self.folder, gates=gates)

    async def ask(self, name: str = "m", version: int | None = None) -> int:
        """The version that computed the answer."""
        batcher = self.registry.get(name, version).batcher
        assert batcher is not None
        outputs = await batcher.submit({"x": np.zeros(4, np.float32)})
        return int(outputs["y"][0])

    def states(self) -> dict[str, str]:
        return {f"{e.name}/{e.version}": e.state for e in self.registry.index()}

    def reason(self, version: int, name: str = "m") -> str:
        [why] = [e.reason for e in self.registry.index() if (e.name, e.version) == (name, version)]
        return why

    def failures(self, version: int, name: str = "m") -> dict[str, int]:
        return dict(self.metrics.model(ModelKey(name, version)).load_failures)


def broken(key: str = "m/2") -> BundleError:
    return BundleError(f"{key}: the graph cannot be opened")
