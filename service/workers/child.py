"""One worker process: start it, watch over its life, end it. Talking to it is `connection`'s.

Belongs to the event loop of the primary front end, which owns every process. What happens when one has
ended (a new child, the models again) is the supervisor's.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from models.errors import SlipwayError
from service.errors import WorkerLost
from service.workers.connection import Connection, Owner
from service.workers.options import HostOptions
from service.workers.pulse import Pulse
from service.workers.wiring import Wiring

_ROOT = str(Path(__file__).parents[2])
_PEACE_S = 2.0


class Child:
    """A process and the first connection to it; when that is lost, the process is killed."""

    def __init__(self, options: HostOptions, owner: Owner, hang_timeout_s: float) -> None:
        self._pulse = Pulse.create()
        self._numbers = 0
        self.started = time.monotonic()
        self.verdict: SlipwayError | None = None
        wiring, theirs = Wiring.create(self._numbers, self._pulse)
        with theirs:
            self.process = _spawn(theirs, wiring, options, hang_timeout_s)
        self.connection = Connection(wiring, owner)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.connection.is_alive

    @property
    def handles(self) -> set[int]:
        return self.connection.handles

    async def attach(self) -> Wiring:
        """A new connection to the worker, for another front end. Raises WorkerLost."""
        self._numbers += 1
        wiring, theirs = Wiring.create(self._numbers, self._pulse)
        try:
            with theirs:
                await self.connection.attach(wiring.number, wiring.for_worker(theirs))
        except BaseException:  # passed on; descriptors must not stay behind
            wiring.close()
            raise
        return wiring

    def kill(self, verdict: SlipwayError | None = None) -> None:
        """End it now, stopped or not; its connections notice when their channels close.

        `verdict`: why, for whoever waits for what it is doing.
        """
        self.process.kill()
        if verdict is not None:
            self.verdict = verdict
            self.connection.lose(verdict)

    async def reap(self) -> int:
        """Wait for the end; what it ended with (negative: the signal). May be called again."""
        return await asyncio.to_thread(self.process.wait)

    async def close(self) -> None:
        """End it in peace: it leaves when its channel closes, or is killed after two seconds."""
        self.connection.close(WorkerLost("the server is ending"))
        try:
            await asyncio.to_thread(self.process.wait, _PEACE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        await self.reap()


def signal_name(code: int) -> str:
    """What a process ended with, for people."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _spawn(
    theirs: socket.socket, wiring: Wiring, options: HostOptions, hang_timeout_s: float
) -> "subprocess.Popen[bytes]":
    descriptors = [theirs.fileno(), wiring.pulse.descriptor, *wiring.memory]
    # -P: a module in the working directory must not take the place of an installed one.
    command = [sys.executable, "-P", "-m", "service.workers.process"]
    command += ["--channel", str(theirs.fileno()), "--pulse", str(wiring.pulse.descriptor)]
    command += ["--arenas", *map(str, wiring.memory)]
    command += ["--threads", str(options.threads), "--provider", options.provider]
    command += ["--hang-timeout", str(hang_timeout_s)]
    command += ["--gpu", options.gpu.to_json(), "--generation", options.generation.to_json()]
    search = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        command,
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        process_group=0,  # signals to the server's group pass it by, also while it is still starting
        env={**os.environ, "PYTHONPATH": search},
    )
