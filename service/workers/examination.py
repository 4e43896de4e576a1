"""Before a version may come near the workers that serve, it is opened and examined in a process of its own.

A graph can hang the runtime, take all memory or end the process while it is loaded. Here that costs a
verdict: the examining process has a time limit, a memory limit and nothing to lose. It starts with the
first examination, stays for a while for the next ones, and is replaced when it dies.

Not promised: that a run of other inputs than the golden ones behaves. Workers that can be killed are for
that.
"""

import asyncio
import math
from itertools import count

import orjson

from models.bundle import Bundle
from models.errors import BundleError
from models.runtimes.base import LoadCrashed, LoadOutOfMemory, LoadTimeout
from service.errors import WorkerLost
from service.generation.stats import EngineStats
from service.selection.choice import Choice, reference
from service.workers.base import LoadReport, WorkerInfo
from service.workers.channel import Op
from service.workers.child import Child, signal_name
from service.workers.connection import Connection, Job
from service.workers.options import HostOptions
from service.workers.placement import order_of

_WARM_S = 60.0
_MOST_PROCESSES = 2
_PATIENCE_S = 2.0  # whoever waited this long for a process gets a second one: the first may hang
_TIMES_SIZE = 4
_HEADROOM_BYTES = 1 << 30


class Examiner:
    """`memory_bytes` 0: from the bundle's size. Belongs to the event loop."""

    def __init__(self, options: HostOptions, *, timeout_s: float, memory_bytes: int = 0) -> None:
        self._options = options
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._handles = count(1)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._released = asyncio.Event()
        self._rest: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def examine(self, bundle: Bundle, choice: Choice | None = None) -> LoadReport:
        """Raises what the runtime says, ExamFailed, LoadTimeout, LoadOutOfMemory or LoadCrashed.

        A bundle without an exam is run once on made-up input, where its sizes are known.
        """
        child = await self._take()
        try:
            chosen = choice or reference(bundle.manifest, self._options.provider)
            return await self._order(child, bundle, chosen)
        except asyncio.CancelledError:
            child.kill()  # it is still at it, and nobody wants to know
            self._say_goodbye(child)
            raise
        finally:
            self._give_back(child)

    async def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        children = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        await asyncio.gather(*(child.close() for child in children), *self._goodbyes)

    def pids(self) -> list[int]:
        return [child.pid for child in (*self._idle, *self._busy)]

    def describe(self) -> list[WorkerInfo]:
        return [
            WorkerInfo(f"examiner-{index}", pid, "examining", 0, ())
            for index, pid in enumerate(self.pids())
        ]

    # -- the owner of its connections -------------------------------------------------------------

    def on_free(self) -> None:
        """No batches run here."""

    def on_stats(self, handle: int, stats: EngineStats) -> None:
        """Nobody's requests are answered here."""

    def on_lost(self, connection: Connection, unbegun: list[Job]) -> None:
        """One that died at rest is forgotten; who waited for one that died at work is told by the call."""
        assert not unbegun
        for child in self._idle:
            if child.connection is connection:
                self._say_goodbye(child)
        self._idle = [child for child in self._idle if child.connection is not connection]

    # -- processes --------------------------------------------------------------------------------

    async def _take(self) -> Child:
        may_add = False
        while not self._idle:
            if not self._busy or (may_add and len(self._busy) < _MOST_PROCESSES):
                self._idle.append(Child(self._options, self, self._timeout_s))
                break
            self._released.clear()
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await self._released.wait()
            except TimeoutError:
                may_add = True
        child = self._idle.pop()
        self._busy.add(child)
        return child

    def _give_back(self, child: Child) -> None:
        if child in self._busy:  # else this is being closed
            self._busy.discard(child)
            if child.is_alive:
                self._idle.append(child)
        self._released.set()
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(_WARM_S, self._go_to_rest)

    def _go_to_rest(self) -> None:
        while self._idle:
            self._say_goodbye(self._idle.pop())

    def _say_goodbye(self, child: Child) -> None:
        child.connection.close(WorkerLost("the examination is over"))
        goodbye = asyncio.create_task(child.close())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    # -- one examination --------------------------------------------------------------------------

    async def _order(self, child: Child, bundle: Bundle, choice: Choice) -> LoadReport:
        name = f"{bundle.name}/{bundle.version}"
        memory_bytes = self._allowance(bundle, choice)
        order = {
            **order_of(bundle, choice),
            "memory_bytes": memory_bytes,
            "cpu_s": math.ceil(self._timeout_s * self._options.threads),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                handle = next(self._handles)
                answer = await child.connection.call(Op.EXAMINE, handle, orjson.dumps(order))
        except TimeoutError:
            raise await self._timed_out(child, name) from None
        except WorkerLost as error:
            raise _verdict(name, await child.reap(), memory_bytes) from error
        return LoadReport.from_json(orjson.loads(answer))

    async def _timed_out(self, child: Child, name: str) -> BundleError:
        child.kill()
        child.connection.close(WorkerLost("it took too long"))
        await child.reap()
        limit = f"{self._timeout_s:g} s"
        return LoadTimeout(f"{name} did not load within {limit} (--load-timeout-s allows more)")

    def _allowance(self, bundle: Bundle, choice: Choice) -> int:
        if choice.provider != "cpu":
            return 0  # a GPU's driver maps far more than anybody uses
        size = sum(entry.size_bytes for entry in bundle.manifest.files.values())
        return self._memory_bytes or _TIMES_SIZE * size + _HEADROOM_BYTES


def _verdict(name: str, code: int, memory_bytes: int) -> BundleError:
    """Why a process that was opening a model has ended."""
    ending = signal_name(code)
    if ending == "SIGXCPU":
        return LoadTimeout(f"{name} used up its processor time while it was loaded")
    if (
        ending == "SIGKILL"
    ):  # not by us: the kernel's answer to a machine or a container out of memory
        return LoadOutOfMemory(f"{name} was ended by the system while it was loaded: out of memory")
    hint = f"; it may have wanted more than {memory_bytes >> 20} MiB" if ending == "SIGABRT" else ""
    return LoadCrashed(f"{name} ended the process that examined it ({ending}{hint})")
