"""The primary's side of several front ends: starts them, tells them what there is, replaces the lost,
sums up what they count, and ends last.

Without a secondary nothing of this is imported.
"""

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace

import uvicorn
from starlette.types import ASGIApp

from models.errors import SlipwayError
from service.frontends.balance import Counts, serve_shared
from service.frontends.control import Message
from service.frontends.forward import Forwarded, answer_forwarded
from service.frontends.peer import Peer
from service.frontends.shared_pool import SharedPool
from service.frontends.snapshot import Snapshot, take
from service.observability.meters import Dump
from service.observability.metrics import Metrics, merged
from service.registry import ModelRegistry
from service.settings import Settings
from service.workers.base import ModelKey

_log = logging.getLogger("slipway.frontends")

_TICK_S = 0.2
_DUMP_EVERY_S = 1.0
_HUNG_S = 10.0
_START_S = 60.0
_SYNC_S = 30.0
_CALM_S, _QUICK_RESTARTS, _PAUSE_S = 10.0, 3, 1.0
_LAST_S = 2.0


class Primary:
    """Secondaries 1 to N-1; the primary itself is 0. Belongs to the event loop."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        registry: ModelRegistry,
        pool: SharedPool,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._registry = registry
        self._pool = pool
        self._metrics = metrics
        self.counts = Counts.create(settings.frontends)
        self._peers: list[Peer | None] = [None] * (settings.frontends - 1)
        self._restarts: deque[float] = deque(maxlen=_QUICK_RESTARTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hung: set[Peer] = set()
        self._past: Dump | None = None  # what those that have ended had counted
        self._number = 0
        self._told: Snapshot | None = None
        self._is_ending = False
        self._app: ASGIApp | None = None
        pool.settle = self.synced
        metrics.gather = self.gather

    def start(self) -> None:
        for index in range(1, self._settings.frontends):
            self._start(index)
        self._registry.on_change(self._tell)
        self._background(self._watch())

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """The layer around the primary's application, which answers for the secondaries too."""
        self._app = Forwarded(app, self.synced)
        return self._app

    @property
    def peers(self) -> list[Peer]:
        """Those that are there."""
        return [peer for peer in self._peers if peer is not None]

    async def serve(self, server: uvicorn.Server) -> None:
        await serve_shared(server, self._listener, self.counts, 0)

    async def up(self) -> None:
        """Wait until every secondary accepts connections and knows what the primary knows."""
        limit = time.monotonic() + _START_S
        while not all(peer is not None and peer.is_up for peer in self._peers):
            if time.monotonic() > limit:
                _log.error("not every front end has come up; the others serve")
                return
            await asyncio.sleep(_TICK_S / 10)
        await self.synced()

    async def synced(self) -> None:
        """Wait until all act on what the primary knows now, and have finished what it no longer has."""
        self._tell()
        number = self._number
        try:
            async with asyncio.timeout(_SYNC_S):
                await asyncio.gather(*(peer.reached(number) for peer in self.peers))
        except TimeoutError:
            _log.warning("a front end lags behind; it will follow")

    async def gather(self) -> list[Dump]:
        """Every front end's counts, its own among them, and those of the ended."""
        asked = await asyncio.gather(*(peer.ask_dump() for peer in self.peers))
        dumps = [self._metrics.dump(), *(dump for dump in asked if dump is not None)]
        return dumps if self._past is None else [*dumps, self._past]

    def drain(self) -> None:
        """Readiness is false from now on; after the lame-duck time they stop accepting."""
        self._is_ending = True
        for peer in self.peers:
            peer.control.send("drain")

    async def end(self) -> None:
        """All have finished what they accepted, or were given up after the grace period."""
        self._is_ending = True
        for task in list(self._tasks):
            task.cancel()
        limit_s = self._settings.lame_duck_s + self._settings.grace_s + _LAST_S
        for peer in self.peers:
            peer.control.send("drain")
        await asyncio.gather(*(peer.end(limit_s) for peer in self.peers))
        self.counts.close()

    # -- what they are told -----------------------------------------------------------------------

    def _tell(self) -> None:
        """Send the state to all, if it is another than they know."""
        snapshot = take(self._number, self._registry, self._pool)
        if snapshot != self._told:
            self._number += 1
            self._told = replace(snapshot, number=self._number)
            for peer in self.peers:
                peer.control.send("snapshot", snapshot=self._told.to_json())
        for peer in self.peers:
            peer.feed(self._pool.up())

    # -- their lives ------------------------------------------------------------------------------

    def _start(self, index: int) -> None:
        peer = Peer(
            index,
            self._settings,
            self._listener,
            self.counts,
            on_message=self._heard,
            on_question=self._answer,
            on_end=self._ended,
        )
        self._peers[index - 1] = peer
        if self._told is not None:
            peer.control.send("snapshot", snapshot=self._told.to_json())
        peer.feed(self._pool.up())

    def _ended(self, peer: Peer) -> None:
        self.counts.leave(peer.index)
        if peer.dump is not None:
            self._remember(peer.dump)
        if self._is_ending:
            return
        peer.process.kill()  # it may have closed its channel without ending
        peer.close()
        reason = "hung" if peer in self._hung else "lost"
        self._hung.discard(peer)
        self._metrics.frontend_restarts[reason] += 1
        _log.warning("%s (pid %d) %s; starting another", peer.name, peer.process.pid, reason)
        self._peers[peer.index - 1] = None
        self._background(self._replace(peer))

    def _remember(self, dump: Dump) -> None:
        gone = [dump | {"is_alive": False}]
        if self._past is not None:
            gone.append(self._past)
        self._past = merged(self._metrics, gone).dump() | {"is_alive": False}

    async def _replace(self, old: Peer) -> None:
        await asyncio.to_thread(old.process.wait)
        if (
            len(self._restarts) == _QUICK_RESTARTS
            and time.monotonic() - self._restarts[0] < _CALM_S
        ):
            await asyncio.sleep(_PAUSE_S)  # something ends every one; do not burn the machine
        self._restarts.append(time.monotonic())
        self._start(old.index)

    async def _watch(self) -> None:
        """Workers come and go without anybody telling; a front end's counts are asked for all the time,
        so that little is lost with it, and because one that does not answer hangs."""
        asked_at = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            self._tell()
            now = time.monotonic()
            if now - asked_at < _DUMP_EVERY_S:
                continue
            asked_at = now
            for peer in self.peers:
                self._background(self._check(peer))

    async def _check(self, peer: Peer) -> None:
        await peer.ask_dump()
        silent_s = time.monotonic() - peer.heard_at
        if peer.is_up and silent_s > _HUNG_S and peer.control.is_open:
            self._hung.add(peer)
            peer.process.kill()

    # -- what they ask ----------------------------------------------------------------------------

    async def _answer(self, question: Message) -> Message:
        if question["kind"] == "gather":
            return {"dumps": await self.gather()}
        if question["kind"] == "wake":
            return await self._wake(question)
        assert self._app is not None  # made before the first secondary can ask
        return await answer_forwarded(self._app, question)

    async def _wake(self, question: Message) -> Message:
        """Load an idle model; answered when the one that asked can use it."""
        key, control = ModelKey(question["name"], question["version"]), self._registry.control
        deadline = asyncio.get_running_loop().time() + question["wait_s"]
        try:
            if control is not None:
                await control.wake(key, deadline)
            await self.synced()
        except SlipwayError as error:
            return {"reason": error.reason, "message": error.message}
        return {}

    def _heard(self, message: Message) -> None:
        if message["kind"] == "need":
            self._pool.need(ModelKey(message["name"], message["version"]))

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
