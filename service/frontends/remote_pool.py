"""A secondary's workers: connections that the primary made, to processes that the primary owns.

Everything to do with running is as in the primary; loading and unloading are not for a secondary.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from models.bundle import Bundle
from service.errors import NotReady, WorkerLost
from service.frontends.snapshot import Snapshot
from service.selection.choice import Choice
from service.workers.base import Arrays, LoadReport, ModelKey, RunResult, WorkerInfo
from service.workers.connection import Connection, Job
from service.workers.dispatch import Dispatcher, OnResult
from service.workers.hosted import Hosted
from service.workers.pool import refusal
from service.workers.wiring import Wiring

if TYPE_CHECKING:
    from service.generation.request import GenerationEvent, GenerationRequest

_GRACE_S = 5.0  # a worker's replacement takes one or two; until then requests are held, not refused


class RemotePool:
    """`on_lost` is told the pid of a worker whose connection has ended; `on_need` the model in quarantine
    that a request needs."""

    def __init__(self, on_lost: Callable[[int], None], on_need: Callable[[ModelKey], None]) -> None:
        self._on_lost, self._on_need = on_lost, on_need
        self._dispatcher = Dispatcher(self._ended)
        self._pids: dict[Connection, int] = {}
        self._holdings: Mapping[int, frozenset[int]] = {}
        self._confined: frozenset[int] = frozenset()
        self._barred: frozenset[int] = frozenset()
        self._models: dict[ModelKey, Hosted] = {}
        self._lost_at = -math.inf
        self.size = 1

    @property
    def is_healthy(self) -> bool:
        """A worker is connected, or was so recently that its replacement is still to be expected."""
        return bool(self._pids) or time.monotonic() - self._lost_at < _GRACE_S

    def workers(self) -> list[WorkerInfo]:
        """None of the processes is ours to tell of."""
        return []

    def pids(self) -> list[int]:
        return []

    # -- told by the primary ----------------------------------------------------------------------

    def attach(self, pid: int, number: int, descriptors: Sequence[int]) -> None:
        """A connection to the worker has been made for us."""
        connection = Connection(Wiring.of(number, descriptors), self._dispatcher)
        connection.handles = set(self._holdings.get(pid, ()))
        self._pids[connection] = pid
        self._dispatcher.add(connection)

    def hold(self, snapshot: Snapshot) -> None:
        """Which models each worker may be sent, and which are not run any more."""
        self.size, self._holdings = snapshot.workers, snapshot.holdings
        self._confined, self._barred = snapshot.confined, snapshot.barred
        for connection, pid in self._pids.items():
            connection.handles = set(self._holdings.get(pid, ()))
        for hosted in self._models.values():
            if hosted.handle in self._barred:
                self._dispatcher.refuse(hosted.handle, refusal(hosted.key))
        self._dispatcher.on_free()

    def know(self, bundle: Bundle, handle: int) -> None:
        """A version can be run."""
        hosted = Hosted.of(bundle, handle)
        self._models[hosted.key] = hosted

    def forget(self, key: ModelKey) -> None:
        self._models.pop(key, None)

    # -- as every pool ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Connections come from the primary."""

    async def close(self) -> None:
        error = WorkerLost("the server is ending")
        for connection in list(self._pids):
            connection.close(error)
        self._dispatcher.close(error)

    async def examine(self, bundle: Bundle) -> LoadReport:
        raise NotReady(f"{bundle.name} is examined by the primary front end")

    async def load(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:  # noqa: ARG002 (the pools' signature)
        raise NotReady(f"{bundle.name} is loaded by the primary front end")

    async def unload(self, key: ModelKey) -> None:
        """The primary does, once no front end needs the version any more."""

    def submit(self, key: ModelKey, inputs: Arrays, on_result: OnResult) -> Job:
        return self._dispatcher.submit(self._get(key), inputs, on_result)

    async def run(self, key: ModelKey, inputs: Arrays) -> RunResult:
        return await self._dispatcher.run(self._get(key), inputs)

    def generate(
        self, key: ModelKey, request: "GenerationRequest"
    ) -> "AsyncIterator[GenerationEvent]":
        return self._dispatcher.generate(self._get(key), request)

    def _get(self, key: ModelKey) -> Hosted:
        hosted = self._models.get(key)
        if hosted is None:
            raise NotReady(f"model {key} is not loaded")
        if hosted.handle in self._barred:
            raise refusal(key)
        if hosted.handle in self._confined:
            held = (hosted.handle in connection.handles for connection in self._pids)
            if not any(held):
                self._on_need(key)
        return hosted

    def _ended(self, connection: Connection) -> None:
        pid = self._pids.pop(connection)
        self._lost_at = time.monotonic()
        self._on_lost(pid)
