"""Keeps the workers' places filled: starts processes, replaces the lost, kills those that stand still."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from service.workers.base import WorkerInfo
from service.workers.child import Child
from service.workers.connection import Connection
from service.workers.dispatch import Dispatcher
from service.workers.inspection import LOOK_S, Inspection
from service.workers.tasks import Tasks

_log = logging.getLogger("slipway.pool")

_CALM_S = 10.0
_QUICK_RESTARTS = 3
_PAUSE_S = 1.0
_GRACE_S = 5.0  # a replacement takes one or two; until then requests are held, not refused


class Supervisor:
    """`children` has a place per worker, None while it is being replaced.

    `make` starts a process; `fill` gives it its models before it takes its place among the dispatcher's
    connections. `look` is called every LOOK_S seconds.
    """

    def __init__(
        self,
        workers: int,
        dispatcher: Dispatcher,
        inspection: Inspection,
        *,
        make: Callable[[], Child],
        fill: Callable[[int, Child], Awaitable[None]],
        look: Callable[[], Iterable[Child]],
    ) -> None:
        self._dispatcher = dispatcher
        self._inspection = inspection
        self._make, self._fill, self._look = make, fill, look
        self.children: list[Child | None] = [None] * workers
        self.restarts = [0] * workers
        self._tasks = Tasks()
        self._starting: set[Child] = set()  # being filled
        self._dying: set[Child] = set()  # killed, not yet reaped
        self._recent: deque[float] = deque(maxlen=_QUICK_RESTARTS)
        self._lost_at = -math.inf
        self._is_closing = False
        self._is_full = asyncio.Event()

    @property
    def is_healthy(self) -> bool:
        """A worker is up, or was so recently that its replacement is still to be expected."""
        for child in self.children:  # for every request: a generator costs five times this
            if child is not None and child.is_alive:
                return True
        return time.monotonic() - self._lost_at < _GRACE_S

    def describe(self, names: Callable[[set[int]], tuple[str, ...]]) -> list[WorkerInfo]:
        found = []
        for index, child in enumerate(self.children):
            if child is not None:
                is_up = child.connection.pulse.beats > 0
                state: Literal["ready", "starting"] = "ready" if is_up else "starting"
                held = names(child.handles)
                found.append(
                    WorkerInfo(f"worker-{index}", child.pid, state, self.restarts[index], held)
                )
        return found

    def start(self) -> None:
        for index in range(len(self.children)):
            child = self.children[index] = self._make()
            self._dispatcher.add(child.connection)
        self._is_full.set()
        self._tasks.start(self._watch())

    async def full(self) -> None:
        """Wait until every place is taken."""
        await self._is_full.wait()

    async def close(self) -> None:
        self._is_closing = True
        await self._tasks.cancel()
        await asyncio.gather(*(child.reap() for child in self._dying))
        await asyncio.gather(*(child.close() for child in self.children if child is not None))

    def owner_of(self, connection: Connection) -> Child | None:
        for child in (*self.children, *self._starting):
            if child is not None and child.connection is connection:
                return child
        return None

    def replace(self, child: Child) -> None:
        """A worker was lost. It is killed, in case that it only stopped talking, and another started."""
        child.kill()
        if self._is_closing or child in self._starting:
            return  # `_replace` sees it
        index = self.children.index(child)
        self.children[index] = None
        self._is_full.clear()
        self.restarts[index] += 1
        self._lost_at = time.monotonic()
        self._dying.add(child)
        self._tasks.start(self._replace(index, child))

    async def _replace(self, index: int, old: Child) -> None:
        await old.reap()
        self._dying.discard(old)
        clock = asyncio.get_running_loop().time
        if len(self._recent) == _QUICK_RESTARTS and clock() - self._recent[0] < _CALM_S:
            await asyncio.sleep(_PAUSE_S)  # something ends every worker; do not burn the machine
        self._recent.append(clock())
        while not (child := await self._filled(index)).is_alive:
            await child.reap()
            await asyncio.sleep(_PAUSE_S)
        self.children[index] = child
        if None not in self.children:
            self._is_full.set()
        self._dispatcher.add(child.connection)

    async def _filled(self, index: int) -> Child:
        child = self._make()
        self._starting.add(child)
        try:
            await self._fill(index, child)
        except asyncio.CancelledError:
            await child.close()
            raise
        finally:
            self._starting.discard(child)
        return child

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for child in (*self.children, *self._starting, *self._look()):
                if child is not None and child.is_alive:
                    verdict = self._inspection.verdict(child)
                    if verdict is not None:
                        _log.warning("worker (pid %d): %s", child.pid, verdict.message)
                        child.kill(verdict)
