"""Keeps the worker processes alive: starts them, replaces the lost ones, kills the hung ones."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from service.runtimes.base import SessionOptions
from service.workers.child import Child
from service.workers.connection import Connection
from service.workers.dispatch import Dispatcher

_log = logging.getLogger("slipway.pool")

_WATCH_S = 0.5
_CALM_S = 10.0
_QUICK_RESTARTS = 3
_PAUSE_S = 1.0
_GRACE_S = 5.0  # a replacement takes one or two; until then requests are held, not refused


class Supervisor:
    """`children` has a place per worker, None while it is being replaced.

    `on_up` gives a new child its models before it takes its place among the dispatcher's connections;
    `on_restart` is told why, for the counter.
    """

    def __init__(
        self,
        workers: int,
        options: SessionOptions,
        dispatcher: Dispatcher,
        *,
        hang_timeout_s: float,
        on_up: Callable[[int, Child], Awaitable[None]],
        on_restart: Callable[[str], None],
    ) -> None:
        self._options = options
        self._dispatcher = dispatcher
        self._hang_timeout_s = hang_timeout_s
        self._on_up, self._on_restart = on_up, on_restart
        self.children: list[Child | None] = [None] * workers
        self._tasks: set[asyncio.Task[None]] = set()
        self._hung: set[Child] = set()
        self._dying: set[Child] = set()  # killed, not yet reaped
        self._restarts: deque[float] = deque(maxlen=_QUICK_RESTARTS)
        self._lost_at = -math.inf
        self._is_closing = False

    @property
    def is_healthy(self) -> bool:
        """A worker is up, or was so recently that its replacement is still to be expected."""
        if any(child is not None and child.is_alive for child in self.children):
            return True
        return time.monotonic() - self._lost_at < _GRACE_S

    def start(self) -> None:
        for index in range(len(self.children)):
            child = self.children[index] = self._new_child()
            self._dispatcher.add(child.connection)
        self._background(self._watch())

    async def close(self) -> None:
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(child.reap() for child in self._dying))
        await asyncio.gather(*(child.close() for child in self.children if child is not None))

    def ended(self, connection: Connection) -> None:
        """A connection was lost; when it was a worker's first, the worker is replaced."""
        for index, child in enumerate(self.children):
            if child is not None and child.connection is connection and not self._is_closing:
                self._replace_later(index, child)

    def _new_child(self) -> Child:
        return Child(self._options, self._dispatcher, self._hang_timeout_s)

    def _replace_later(self, index: int, child: Child) -> None:
        child.kill()  # it may have closed its channel, or talk nonsense, without ending
        reason = "hung" if child in self._hung else "lost"
        self._hung.discard(child)
        _log.warning("worker %d (pid %d) %s; starting another", index, child.pid, reason)
        self.children[index] = None
        self._lost_at = time.monotonic()
        self._dying.add(child)
        self._on_restart(reason)
        self._background(self._replace(index, child))

    async def _replace(self, index: int, old: Child) -> None:
        await old.reap()
        self._dying.discard(old)
        clock = asyncio.get_running_loop().time
        if len(self._restarts) == _QUICK_RESTARTS and clock() - self._restarts[0] < _CALM_S:
            await asyncio.sleep(_PAUSE_S)  # something ends every worker; do not burn the machine
        self._restarts.append(clock())
        child = self._new_child()
        try:
            await self._on_up(index, child)
        except asyncio.CancelledError:
            await child.close()
            raise
        if child.is_alive:
            self.children[index] = child
            self._dispatcher.add(child.connection)

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_WATCH_S)
            for child in self.children:
                since = child.connection.waiting_since if child is not None else None
                if (
                    child is not None
                    and since is not None
                    and clock() - since > self._hang_timeout_s
                ):
                    self._hung.add(child)
                    child.kill()

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
