"""One secondary as the primary sees it: its process, the way to talk to it, what it last said.

It is told which workers there are by being given a connection to each; what it counts is remembered, so
that its numbers outlive it.
"""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from service.errors import WorkerLost
from service.frontends.balance import Counts
from service.frontends.control import Control, Message, PeerGone
from service.frontends.settings import to_members
from service.observability.meters import Dump
from service.settings import Settings
from service.workers.child import Child

_log = logging.getLogger("slipway.frontends")

_ROOT = str(Path(__file__).parents[2])
_DUMP_S = 1.0

OnQuestion = Callable[[Message], Awaitable[Message]]


class Peer:
    """`on_message` gets what is not about itself; `on_end` is called once, when its channel closes.
    `answered`: the last snapshot it acts on."""

    def __init__(
        self,
        index: int,
        settings: Settings,
        listener: socket.socket,
        counts: Counts,
        *,
        on_message: Callable[[Message], None],
        on_question: OnQuestion,
        on_end: Callable[["Peer"], None],
    ) -> None:
        self.index = index
        self.name = f"frontend-{index}"
        self._on_other = on_message
        self.answered = -1
        self.heard_at = time.monotonic()
        self.is_up = False
        self.dump: Dump | None = None
        self._changed = asyncio.Event()
        self._attached: set[int] = set()
        self._attaching: set[asyncio.Task[None]] = set()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = _spawn(index, theirs, listener, counts, settings.frontends)
        self.control = Control(
            ours,
            on_message=self._on_message,
            on_question=on_question,
            on_end=lambda: on_end(self),
        )
        self.control.send("settings", settings=to_members(settings))

    def feed(self, children: Sequence[Child]) -> None:
        """Connect it to every worker that it is not yet connected to."""
        self._attached &= {child.pid for child in children}
        for child in children:
            if child.pid not in self._attached and child.is_alive:
                self._attached.add(child.pid)
                task = asyncio.create_task(self._attach(child))
                self._attaching.add(task)
                task.add_done_callback(self._attaching.discard)

    async def ask_dump(self) -> Dump | None:
        """What it has counted; what it said last when it does not answer."""
        with contextlib.suppress(PeerGone):
            self.dump = (await self.control.ask("dump", limit_s=_DUMP_S))["dump"]
            self.heard_at = time.monotonic()
        return self.dump

    async def reached(self, number: int) -> None:
        """Wait until it acts on the snapshot of this number, or has ended."""
        while self.answered < number and self.control.is_open:
            self._changed.clear()
            await self._changed.wait()

    async def end(self, limit_s: float) -> None:
        """Wait for its process, which was told to end; kill it when that takes longer."""
        try:
            await asyncio.to_thread(self.process.wait, limit_s)
        except subprocess.TimeoutExpired:
            _log.warning("%s does not end; it is killed", self.name)
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        self.close()

    def close(self) -> None:
        for task in self._attaching:
            task.cancel()
        self.control.close()
        self._changed.set()

    async def _attach(self, child: Child) -> None:
        try:
            wiring = await child.attach()
        except WorkerLost:
            self._attached.discard(child.pid)
            return
        try:
            descriptors = wiring.for_front_end()
            self.control.send("worker", descriptors, pid=child.pid, number=wiring.number)
        finally:
            wiring.close()

    def _on_message(self, message: Message, _: list[int]) -> None:
        if message["kind"] == "applied":
            self.answered = max(self.answered, message["number"])
        elif message["kind"] == "up":
            self.is_up = True
        elif message["kind"] == "lost":
            self._attached.discard(message["pid"])
        elif message["kind"] == "last":
            self.dump = message["dump"]
        else:
            self._on_other(message)
        self.heard_at = time.monotonic()
        self._changed.set()


def _spawn(
    index: int, theirs: socket.socket, listener: socket.socket, counts: Counts, size: int
) -> "subprocess.Popen[bytes]":
    # -P: a module in the working directory must not take the place of an installed one.
    command = [sys.executable, "-P", "-m", "service.frontends.process"]
    command += ["--control", str(theirs.fileno()), "--listener", str(listener.fileno())]
    command += ["--counts", str(counts.descriptor), "--index", str(index), "--size", str(size)]
    search = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        command,
        pass_fds=[theirs.fileno(), listener.fileno(), counts.descriptor],
        stdin=subprocess.DEVNULL,
        process_group=0,  # signals to the server's group pass it by: the primary tells it when to end
        env={**os.environ, "PYTHONPATH": search},
    )
