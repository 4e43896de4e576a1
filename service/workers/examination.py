"""Before a version may come near the workers that serve, it is opened and examined in a process of its own.

A graph can hang the runtime, take all memory or end the process while it is loaded. Here that costs a
verdict: the examining process has a time limit, a memory limit and nothing to lose. It starts with the
first examination, stays for a while for the next ones, and is replaced when it dies.

Not promised: that a run of other inputs than the golden ones behaves. Workers that can be killed are for
that.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import orjson

from models.bundle import Bundle
from models.cgroup import usable_cores
from models.errors import BundleError
from models.runtimes.base import LoadCrashed, LoadOutOfMemory, LoadTimeout
from service.errors import WorkerLost
from service.generation.stats import EngineStats
from service.selection.choice import Choice, reference
from service.selection.trial import Comparison
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
_COMPARISON_GRACE_S = 5.0  # the process keeps its time by itself, unless a candidate hangs


class Examiner:
    """`memory_bytes` 0: from the bundle's size. `max_batch_size` 0: the bundle's own. Belongs to the event
    loop."""

    def __init__(
        self,
        options: HostOptions,
        *,
        timeout_s: float,
        memory_bytes: int = 0,
        max_batch_size: int = 0,
    ) -> None:
        self._options = options
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._max_batch_size = max_batch_size
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
        choice = choice or reference(bundle.manifest, self._options.provider)
        cpu_s = math.ceil(self._timeout_s * self._options.threads)
        order = {**order_of(bundle, choice), "cpu_s": cpu_s}
        order["memory_bytes"] = self._allowance(bundle, (choice,))
        order["most_rows"] = self.most_rows(bundle, choice)
        answer = await self._ask(Op.EXAMINE, bundle, order, self._timeout_s, "load")
        return LoadReport.from_json(answer)

    def most_rows(self, bundle: Bundle, choice: Choice) -> int:
        """Of its batches."""
        own = bundle.manifest.batching.max_batch_size
        return choice.max_batch_size or self._max_batch_size or own

    async def compare(
        self, bundle: Bundle, base: Choice, rivals: Sequence[Choice], time_s: float
    ) -> Comparison:
        """Time them against each other. Raises as `examine` does, for whichever of them it was."""
        limit_s = time_s + _COMPARISON_GRACE_S
        order = {
            **order_of(bundle, base),
            "rivals": [rival.to_json() for rival in rivals],
            "time_s": time_s,
            # Runtimes compile with as many threads as there are cores.
            "cpu_s": math.ceil(limit_s * max(self._options.threads, usable_cores())),
            "memory_bytes": self._allowance(bundle, (base, *rivals)),
        }
        return Comparison.from_json(await self._ask(Op.COMPARE, bundle, order, limit_s, "compare"))

    async def close(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        children = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        await asyncio.gather(*(child.close() for child in children), *self._goodbyes)

    @property
    def is_busy(self) -> bool:
        return bool(self._busy)

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

    async def _ask(
        self, op: Op, bundle: Bundle, order: Mapping[str, Any], limit_s: float, verb: str
    ) -> Any:
        """The answer to an order; a process that dies of it, or takes too long, is ended."""
        child = await self._take()
        try:
            return await self._order(child, op, bundle, order, limit_s, verb)
        except asyncio.CancelledError:
            child.kill()  # it is still at it, and nobody wants to know
            self._say_goodbye(child)
            raise
        finally:
            self._give_back(child)

    async def _order(
        self,
        child: Child,
        op: Op,
        bundle: Bundle,
        order: Mapping[str, Any],
        limit_s: float,
        verb: str,
    ) -> Any:
        name = f"{bundle.name}/{bundle.version}"
        try:
            async with asyncio.timeout(limit_s):
                handle = next(self._handles)
                answer = await child.connection.call(op, handle, orjson.dumps(order))
        except TimeoutError:
            await self._give_up(child)
            remedy = " (--load-timeout-s allows more)" if op == Op.EXAMINE else ""
            raise LoadTimeout(f"{name} did not {verb} within {limit_s:g} s{remedy}") from None
        except WorkerLost as error:
            raise _verdict(name, await child.reap(), order["memory_bytes"]) from error
        return orjson.loads(answer)

    async def _give_up(self, child: Child) -> None:
        child.kill()
        child.connection.close(WorkerLost("it took too long"))
        await child.reap()

    def _allowance(self, bundle: Bundle, choices: Sequence[Choice]) -> int:
        if any(choice.provider != "cpu" for choice in choices):
            return 0  # a GPU's driver maps far more than anybody uses
        files = bundle.manifest.files
        size = sum(entry.size_bytes for entry in files.values())
        more = sum(files[choice.file].size_bytes for choice in choices[1:])
        return (self._memory_bytes or _HEADROOM_BYTES + _TIMES_SIZE * size) + _TIMES_SIZE * more


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
