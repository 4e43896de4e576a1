"""The interface between the front end and whatever runs models.

Arrays carry their batch axis here. An implementation never blocks the event loop.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from models.bundle import Bundle
from service.selection.choice import Choice
from service.workers.footprint import Footprint

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest

Arrays = dict[str, np.ndarray]
REFERENCE = Choice()
NOTHING = Footprint()


class ModelKey(NamedTuple):
    """A published version; its text form is what logs show."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class LoadReport:
    """What loading a bundle found. `exam_difference`: largest absolute difference to the golden answers,
    None for a bundle without an exam. `choice`: what was loaded; `memory`: what that took of a
    process."""

    seconds: float
    exam_difference: float | None
    provider: str
    threads: int
    details: dict[str, str] = field(default_factory=dict)
    choice: Choice = REFERENCE
    memory: Footprint = NOTHING

    @classmethod
    def from_json(cls, members: dict[str, Any]) -> "LoadReport":
        """As it crosses between processes of one server."""
        choice, memory = Choice.from_json(members["choice"]), Footprint.from_json(members["memory"])
        return cls(**{**members, "choice": choice, "memory": memory})


class RunResult(NamedTuple):
    """Outputs with batch axis, and the time the graph itself took."""

    outputs: Arrays
    infer_s: float


@dataclass(frozen=True)
class WorkerInfo:
    """One process. `restarts`: how often its place was filled anew; `models`: what it holds."""

    name: str
    pid: int
    state: Literal["ready", "starting", "quarantine", "examining"]
    restarts: int
    models: tuple[str, ...]


class WorkerPool(Protocol):
    """Hosts models. `size` workers run that many batches at once."""

    @property
    def size(self) -> int: ...

    @property
    def is_healthy(self) -> bool:
        """False while no worker can run anything."""

    def pids(self) -> list[int]:
        """Of the worker processes that are up."""

    def workers(self) -> list[WorkerInfo]:
        """The processes at this moment; none where models run in the server's own."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        """Load on the workers and replay the golden exam there. Raises BundleError (ExamFailed …).

        `choice` None: the reference.
        """

    async def unload(self, key: ModelKey) -> None: ...

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        """Raises InputRefused, InferenceFailed, WorkerLost or NotReady."""

    def generate(
        self, key: ModelKey, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        """Events until one carries a finish reason; closing the iterator cancels the work."""


class Sent(Protocol):
    """A batch on its way. `is_dropped`: nobody waits for it any more; if it has not begun it need not."""

    is_dropped: bool


@runtime_checkable
class Submits(Protocol):
    """A pool that also takes a callback instead of being awaited, which saves a task per batch."""

    def submit(
        self, key: ModelKey, inputs: Arrays, on_result: Callable[[RunResult | Exception], None]
    ) -> Sent:
        """As `run`; the outcome is given once, in the loop's thread, perhaps before this returns."""


@runtime_checkable
class Examines(Protocol):
    """A pool that can try a bundle where nobody is hurt; one that runs models in this process cannot."""

    async def examine(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        """Open and examine away from what serves, within limits of time and memory; keeps nothing.

        Raises BundleError, among them LoadTimeout, LoadOutOfMemory and LoadCrashed.
        """
