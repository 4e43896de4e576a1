"""What is served right now: name → versions → everything a request needs to be answered.

Filled by `service.lifecycle` at start, by polling and by explicit control; read by every route. Belongs to
the event loop's thread.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from models.bundle import Bundle
from models.manifest import Batching, Manifest
from service.errors import NotReady, UnknownModel
from service.selection.choice import Choice
from service.workers.base import LoadReport, ModelKey, WorkerPool

if TYPE_CHECKING:
    from service.batching.batcher import Batcher
    from service.observability.metrics import ModelMeters
    from service.tasks.base import ServiceTask

State = Literal["loading", "ready", "idle", "retired"]


@dataclass(eq=False)
class ServedModel:
    """One version. `batcher` and `task` are there once it is ready; a generation model has no batcher, and
    with lazy loading the task is opened by the first request that needs it.

    `choice`: how it is to be run, once that is settled; `fallback`: should that not load. `batching`: the
    manifest's hints, or what was tuned for this machine. idle: checked, to be loaded by its first request.
    retired: taken out of the registry; what holds it (`begin` … `end`) may still use it, then it is
    unloaded.
    """

    bundle: Bundle
    pool: WorkerPool
    meters: "ModelMeters"
    task: "ServiceTask | None" = None
    batcher: "Batcher | None" = None
    state: State = "loading"
    reason: str = ""
    report: LoadReport | None = None
    choice: Choice | None = None
    fallback: Choice | None = None
    stamp: object = None
    users: int = 0
    batching: Batching = field(init=False)
    key: ModelKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = ModelKey(self.bundle.name, self.bundle.version)
        self.batching = self.bundle.manifest.batching
        self._unused: asyncio.Event | None = None

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def is_ready(self) -> bool:
        """Loaded, examined, and able to run: a dead batcher or an empty pool takes this away."""
        alive = self.batcher is None or self.batcher.is_alive
        return self.state == "ready" and alive and self.pool.is_healthy

    @property
    def can_answer(self) -> bool:
        """Ready, or idle: then the first request waits until it is loaded."""
        return self.is_ready or (self.state == "idle" and self.pool.is_healthy)

    def begin(self) -> None:
        """A request will use this version until `end`, whatever is swapped meanwhile."""
        self.users += 1

    def end(self) -> None:
        self.users -= 1
        if not self.users and self._unused is not None:
            self._unused.set()

    async def unused(self) -> None:
        """Wait until nobody holds it."""
        while self.users:
            self._unused = asyncio.Event()
            await self._unused.wait()


IndexState = Literal["LOADING", "READY", "UNLOADING", "UNAVAILABLE"]


@dataclass(frozen=True)
class IndexEntry:
    """A line of the repository index: also versions that are refused, and why."""

    name: str
    version: int
    state: IndexState
    reason: str = ""


class Control(Protocol):
    """What changes the registry. In a front end that only mirrors one it asks the one that loads."""

    async def load(self, name: str, version: int | None = None) -> None:
        """Serve what the version policy selects, or this version alone. Raises ControlRefused,
        UnknownModel, or LoadFailed when the newest selected version is not served."""

    async def unload(self, name: str) -> None:
        """Returns when all versions are drained and their memory is given back."""

    async def wake(self, key: ModelKey, deadline: float | None = None) -> None:
        """Load an idle version. Raises NotReady, or DeadlineExceeded at `deadline` (loop seconds)."""


@dataclass(frozen=True)
class _Refused:
    reason: str
    is_failure: bool


class ModelRegistry:
    """`required` models decide readiness: those named at start, and every one that was served since and
    not taken out of service on purpose."""

    def __init__(self) -> None:
        self._models: dict[str, dict[int, ServedModel]] = {}
        self._refused: dict[ModelKey, _Refused] = {}
        self._retiring: set[ModelKey] = set()
        self._listeners: list[Callable[[], None]] = []
        self.control: Control | None = None
        self.required: set[str] = set()
        self.is_loading = True
        self.is_draining = False

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` now and after every change of what is served."""
        self._listeners.append(listener)
        listener()

    def add(self, model: ServedModel) -> None:
        """Also takes the place of the same version, in one step."""
        self._models.setdefault(model.key.name, {})[model.key.version] = model
        self._refused.pop(model.key, None)
        self.changed()

    def remove(self, key: ModelKey) -> None:
        versions = self._models.get(key.name, {})
        versions.pop(key.version, None)
        if not versions:
            self._models.pop(key.name, None)
        self.changed()

    def retire(self, model: ServedModel) -> None:
        """No new request gets it from now on; the index says so until `retired`."""
        model.state = "retired"
        self._retiring.add(model.key)
        if self._models.get(model.key.name, {}).get(model.key.version) is model:
            self.remove(model.key)

    def retired(self, key: ModelKey) -> None:
        self._retiring.discard(key)

    def refuse(self, key: ModelKey, reason: str, *, is_failure: bool = True) -> None:
        """Remember for the index why a version is not served. `is_failure` false: it was not wanted."""
        self._refused[key] = _Refused(reason, is_failure)

    def forget(self, key: ModelKey) -> None:
        """The version is not in the repository any more."""
        self._refused.pop(key, None)

    def refused(self, name: str) -> dict[int, str]:
        """Version → why it is not served."""
        return {k.version: why.reason for k, why in self._refused.items() if k.name == name}

    def refusals(self) -> list[tuple[ModelKey, str, bool]]:
        """Every version that is not served, why, and whether that is a failure."""
        return [(key, why.reason, why.is_failure) for key, why in self._refused.items()]

    def changed(self) -> None:
        for listener in self._listeners:
            listener()

    def get(self, name: str, version: int | None = None) -> ServedModel:
        """The newest ready version, or the one asked for. Raises UnknownModel or NotReady."""
        versions = self._models.get(name)
        if not versions:
            raise self._unknown(name)
        if version is not None:
            if version not in versions:
                have = ", ".join(map(str, sorted(versions)))
                raise UnknownModel(f"model {name!r} has no version {version}; served: {have}")
            chosen = versions[version]
        else:
            chosen = _newest(versions)
        if not chosen.is_ready:
            raise NotReady(
                f"model {name!r} version {chosen.key.version} is not ready: {chosen.state}"
            )
        return chosen

    def find(self, name: str, version: int | None = None) -> ServedModel | None:
        """As `get`, but also a version that is not ready; None when there is none."""
        versions = self._models.get(name, {})
        if version is not None:
            return versions.get(version)
        return _newest(versions) if versions else None

    def versions(self, name: str) -> list[int]:
        return sorted(self._models.get(name, {}))

    def names(self) -> list[str]:
        return sorted(self._models)

    def __iter__(self) -> Iterator[ServedModel]:
        """Every version, by name and number."""
        for name in sorted(self._models):
            for version in sorted(self._models[name]):
                yield self._models[name][version]

    def newest(self) -> list[ServedModel]:
        """The version of each model that unversioned requests reach, by name."""
        found = [self.find(name) for name in self.names()]
        return [model for model in found if model is not None]

    def index(self) -> list[IndexEntry]:
        entries = [IndexEntry(*model.key, *_index_state(model)) for model in self]
        listed = {(entry.name, entry.version) for entry in entries}
        entries += [IndexEntry(*key, "UNLOADING") for key in self._retiring - listed]
        listed |= self._retiring
        entries += [
            IndexEntry(*key, "UNAVAILABLE", why.reason)
            for key, why in self._refused.items()
            if key not in listed
        ]
        return sorted(entries, key=lambda entry: (entry.name, entry.version))

    @property
    def is_ready(self) -> bool:
        """Every required model can answer, and the server is neither loading nor ending."""
        if self.is_loading or self.is_draining:
            return False
        return all(self._has_ready(name) for name in self.required)

    def not_ready(self) -> list[str]:
        """Required models that cannot answer."""
        return sorted(name for name in self.required if not self._has_ready(name))

    def _has_ready(self, name: str) -> bool:
        return any(model.can_answer for model in self._models.get(name, {}).values())

    def _unknown(self, name: str) -> UnknownModel | NotReady:
        if self.is_loading and name in self.required:
            return NotReady(f"model {name!r} is still loading")
        refused = [why for key, why in self._refused.items() if key.name == name]
        failed = [why for why in refused if why.is_failure]
        if failed:
            return NotReady(f"model {name!r} is not served: {failed[-1].reason}", None)
        if refused:
            return UnknownModel(f"model {name!r} is not loaded: {refused[-1].reason}")
        known = ", ".join(self.names()) or "none"
        return UnknownModel(f"there is no model {name[:64]!r}; served: {known}")


def _newest(versions: dict[int, ServedModel]) -> ServedModel:
    """Of those that can answer, or of all when none can."""
    able = [number for number, model in versions.items() if model.can_answer]
    return versions[max(able or versions)]


def _index_state(model: ServedModel) -> tuple[IndexState, str]:
    if model.state == "idle":
        return "READY", model.reason or "is loaded by its first request"
    if model.is_ready:
        return "READY", ""
    if model.state == "loading":
        return "LOADING", ""
    return "UNAVAILABLE", model.reason or "no worker can run it at the moment"
