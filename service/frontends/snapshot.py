"""What a secondary is told: every version that the primary has, who holds it, and whether all is ready.

Always the whole state, never a change to it: a secondary that starts late or was told twice ends with the
same picture. `number` grows with every change; a secondary answers with it once it acts accordingly.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from service.frontends.shared_pool import SharedPool
from service.registry import ModelRegistry, ServedModel, State
from service.workers.base import LoadReport, ModelKey


@dataclass(frozen=True)
class ModelState:
    """`handle` is what crosses to the workers instead of the name; 0 until they hold the version.
    `batching`: its hints, or what was tuned."""

    name: str
    version: int
    path: str
    created_at: str
    state: State
    reason: str
    handle: int
    load_s: float
    loaded_at_s: float
    report: LoadReport | None
    batching: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> ModelKey:
        return ModelKey(self.name, self.version)


@dataclass(frozen=True)
class Snapshot:
    """`refused`: (name, version, why, whether it is a failure). `holdings`: worker's pid → handles of the
    models it may be sent; `confined`, `barred`: handles in quarantine, and of models not run any more."""

    number: int
    models: tuple[ModelState, ...]
    refused: tuple[tuple[str, int, str, bool], ...]
    required: tuple[str, ...]
    is_loading: bool
    workers: int
    holdings: Mapping[int, frozenset[int]]
    confined: frozenset[int]
    barred: frozenset[int]

    def to_json(self) -> dict[str, Any]:
        holdings = {str(pid): sorted(handles) for pid, handles in self.holdings.items()}
        return {
            **asdict(self),
            "holdings": holdings,
            "confined": sorted(self.confined),
            "barred": sorted(self.barred),
        }

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> "Snapshot":
        models = tuple(
            ModelState(
                **{**model, "report": model["report"] and LoadReport.from_json(model["report"])}
            )
            for model in members["models"]
        )
        return cls(
            members["number"],
            models,
            tuple(
                (name, version, why, is_failure)
                for name, version, why, is_failure in members["refused"]
            ),
            tuple(members["required"]),
            members["is_loading"],
            members["workers"],
            {int(pid): frozenset(handles) for pid, handles in members["holdings"].items()},
            frozenset(members["confined"]),
            frozenset(members["barred"]),
        )


def take(number: int, registry: ModelRegistry, pool: SharedPool) -> Snapshot:
    """The primary's state at this moment."""
    handles = pool.handles()
    return Snapshot(
        number,
        tuple(_state(model, handles.get(model.key, 0)) for model in registry),
        tuple((*key, why, is_failure) for key, why, is_failure in registry.refusals()),
        tuple(sorted(registry.required)),
        registry.is_loading,
        pool.size,
        {child.pid: frozenset(child.handles) for child in pool.up()},
        pool.confined(),
        pool.barred(),
    )


def _state(model: ServedModel, handle: int) -> ModelState:
    return ModelState(
        model.key.name,
        model.key.version,
        str(model.bundle.path),
        model.manifest.created_at,
        model.state,
        model.reason,
        handle,
        model.meters.load_s,
        model.meters.loaded_at_s,
        model.report,
        model.batching.model_dump(mode="json"),
    )
