"""A secondary's life: settings from the primary → server → connections and models → … → drained → exit.

It has no signals of its own: the primary says when to end, and when the primary has gone it goes at once,
because the workers have ended too.
"""

import asyncio
import logging
import os
import socket

from service.errors import ControlRefused, DeadlineExceeded, NotReady, QueueFull
from service.frontends.balance import Counts, serve_shared
from service.frontends.control import Control, Message
from service.frontends.forward import Forward
from service.frontends.mirror import Mirror
from service.frontends.remote_pool import RemotePool
from service.frontends.snapshot import Snapshot
from service.lifecycle.lifecycle import drain
from service.observability.meters import Dump
from service.observability.metrics import Metrics
from service.observability.vitals import build_labels, vital_signs
from service.registry import ModelRegistry
from service.settings import Settings
from service.stack import build_server
from service.workers.base import ModelKey

_log = logging.getLogger("slipway.frontends")

_LAST_RUNS_S = 1.0
_PATIENCE_S = 1.0


class Secondary:
    """Belongs to the event loop; `run` is the whole life."""

    def __init__(
        self,
        index: int,
        settings: Settings,
        control: Control,
        listener: socket.socket,
        counts: Counts,
    ) -> None:
        self._settings = settings
        self._control = control
        self._listener = listener
        self._counts = counts
        self._index = index
        self.registry = ModelRegistry()
        self.metrics = Metrics(build_labels(), settings.metrics, name=f"frontend-{index}")
        self.metrics.gather = self._gather
        self.pool = RemotePool(lambda pid: control.send("lost", pid=pid), self._need)
        self.registry.control = self
        self._mirror = Mirror(settings, self.registry, self.pool, self.metrics)
        self._server, self._observer = build_server(
            self.registry, settings, self.metrics, lambda app: Forward(app, control)
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        with vital_signs(self.metrics, self._server, self.registry, None):
            await serve_shared(
                self._server, self._listener, self._counts, self._index, self._started
            )
        try:
            async with asyncio.timeout(_LAST_RUNS_S):
                await drain(self.registry)
        except TimeoutError:
            _log.warning("a run that nobody waits for is cut off")
        await self.pool.close()
        self._observer.flush()
        self._control.send("last", dump=self.metrics.dump())

    def on_message(self, message: Message, descriptors: list[int]) -> None:
        if message["kind"] == "worker":
            self.pool.attach(message["pid"], message["number"], descriptors)
        elif message["kind"] == "snapshot":
            task = asyncio.create_task(self._apply(Snapshot.from_json(message["snapshot"])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif message["kind"] == "drain" and not self.registry.is_draining:
            self.registry.is_draining = True
            loop = asyncio.get_running_loop()
            loop.call_later(self._settings.lame_duck_s, setattr, self._server, "should_exit", True)

    async def on_question(self, _: Message) -> Message:
        """There is one: what has it counted?"""
        return {"dump": self.metrics.dump()}

    # -- as the registry's `Control` ----------------------------------------------------------------

    async def load(self, name: str, version: int | None = None) -> None:
        raise ControlRefused(f"{name} (version: {version or 'newest'}) is the primary's to load")

    async def unload(self, name: str) -> None:
        raise ControlRefused(f"{name} is the primary's to unload")

    async def wake(self, key: ModelKey, deadline: float | None = None) -> None:
        now = asyncio.get_running_loop().time()
        limit_s = self._settings.request_timeout_s if deadline is None else deadline - now
        name, version = key
        answer = await self._control.ask(
            "wake", limit_s=limit_s + _PATIENCE_S, wait_s=limit_s, name=name, version=version
        )
        if "reason" in answer:
            kinds = {kind.reason: kind for kind in (NotReady, QueueFull, DeadlineExceeded)}
            raise kinds.get(answer["reason"], NotReady)(answer["message"])

    # -- inside -------------------------------------------------------------------------------------

    def _need(self, key: ModelKey) -> None:
        self._control.send("need", name=key.name, version=key.version)

    def _started(self) -> None:
        self._control.send("up")

    async def _apply(self, snapshot: Snapshot) -> None:
        try:
            await self._mirror.apply(snapshot)
            await self._mirror.settled()
        except Exception:  # without its models a front end is no use: the primary starts another
            _log.exception("the models could not be taken over")
            os._exit(1)
        self._control.send("applied", number=snapshot.number)

    async def _gather(self) -> list[Dump]:
        """Raises PeerGone: better no answer than a sum that lacks something."""
        answer = await self._control.ask("gather", limit_s=5.0)
        dumps: list[Dump] = answer["dumps"]
        return dumps
