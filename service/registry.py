"""What is served right now: name → versions → everything a request needs to be answered.

Filled by `loader` at start (later by polling and explicit control), read by every route. Belongs to the
event loop's thread.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from models.bundle import Bundle
from models.manifest import Manifest
from service.errors import NotReady, UnknownModel
from service.workers.base import LoadReport, ModelKey, WorkerPool

if TYPE_CHECKING:
    from service.batcher import Batcher
    from service.metrics import ModelMeters
    from service.tasks.base import ServiceTask

State = Literal["loading", "ready", "failed"]


@dataclass(eq=False)
class ServedModel:
    """One version. `batcher` and `task` are there once it is ready; a generation model has no batcher."""

    bundle: Bundle
    pool: WorkerPool
    meters: "ModelMeters"
    task: "ServiceTask | None" = None
    batcher: "Batcher | None" = None
    state: State = "loading"
    reason: str = ""
    report: LoadReport | None = None
    key: ModelKey = field(init=False)

    def __post_init__(self) -> None:
        self.key = ModelKey(self.bundle.name, self.bundle.version)

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def is_ready(self) -> bool:
        """Loaded, examined, and able to run: a dead batcher or an empty pool takes this away."""
        alive = self.batcher is None or self.batcher.is_alive
        return self.state == "ready" and alive and self.pool.is_healthy


@dataclass(frozen=True)
class IndexEntry:
    """A line of the repository index: also versions that are refused, and why."""

    name: str
    version: int
    state: Literal["LOADING", "READY", "UNAVAILABLE"]
    reason: str = ""


class ModelRegistry:
    """`required` models (all that the repository has, or those named at start) decide readiness."""

    def __init__(self) -> None:
        self._models: dict[str, dict[int, ServedModel]] = {}
        self._refused: dict[ModelKey, str] = {}
        self._listeners: list[Callable[[], None]] = []
        self.required: set[str] = set()
        self.is_loading = True
        self.is_draining = False

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` now and after every change of what is served."""
        self._listeners.append(listener)
        listener()

    def add(self, model: ServedModel) -> None:
        self._models.setdefault(model.key.name, {})[model.key.version] = model
        self.changed()

    def remove(self, key: ModelKey) -> None:
        versions = self._models.get(key.name, {})
        versions.pop(key.version, None)
        if not versions:
            self._models.pop(key.name, None)
        self.changed()

    def refuse(self, key: ModelKey, reason: str) -> None:
        """Remember for the index why a version is not served."""
        self._refused[key] = reason

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
            ready = [number for number, model in versions.items() if model.is_ready]
            chosen = versions[max(ready or versions)]
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
        ready = [number for number, model in versions.items() if model.is_ready]
        return versions[max(ready or versions)] if versions else None

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
        entries += [IndexEntry(*key, "UNAVAILABLE", why) for key, why in self._refused.items()]
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
        return any(model.is_ready for model in self._models.get(name, {}).values())

    def _unknown(self, name: str) -> UnknownModel | NotReady:
        if self.is_loading and name in self.required:
            return NotReady(f"model {name!r} is still loading")
        refused = [why for key, why in self._refused.items() if key.name == name]
        if refused:
            return NotReady(f"model {name!r} is not served: {refused[-1]}", retry_after_s=None)
        known = ", ".join(self.names()) or "none"
        return UnknownModel(f"there is no model {name[:64]!r}; served: {known}")


def _index_state(model: ServedModel) -> tuple[Literal["LOADING", "READY", "UNAVAILABLE"], str]:
    if model.is_ready:
        return "READY", ""
    if model.state == "loading":
        return "LOADING", ""
    return "UNAVAILABLE", model.reason or "no worker can run it at the moment"
