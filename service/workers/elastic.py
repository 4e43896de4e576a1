"""When there is nothing to do: give models that gain by it a wide session on the worker that is asked first.

The front end marks a batch that is alone; a worker that holds a wide session of its model runs it there. So
the sum of threads that run stays within the plan, except for the rest of a wide run when a second batch
arrives meanwhile: holding that one back was tried in thought and costs other models more.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable

import orjson

from models.errors import SlipwayError
from service.workers.base import LoadReport
from service.workers.channel import Op
from service.workers.child import Child
from service.workers.ledger import MemoryLedger
from service.workers.placement import Placed
from service.workers.tasks import Tasks

_log = logging.getLogger("slipway.pool")

_CALM_LOOKS = 2  # of the supervisor: about a second without work
_MOST_PAUSE_S = 600.0  # between attempts to measure on a machine that is busy with other things


class Elastic:
    """`threads`: of a wide session. `look` is called regularly; `is_calm` says that nothing is going on,
    `started` counts batches."""

    def __init__(
        self,
        threads: int,
        tasks: Tasks,
        models: Callable[[], Iterable[tuple[Placed, LoadReport]]],
        first: Callable[[], Child | None],
        is_calm: Callable[[], bool],
        started: Callable[[], int],
        memory: MemoryLedger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threads = threads
        self._tasks = tasks
        self._models, self._first = models, first
        self._is_calm, self._started = is_calm, started
        self._memory = memory
        self._looks = 0
        self._clock = clock
        self._pauses_s: dict[tuple[int, int], float] = {}  # worker, model → before the next attempt
        self._not_before: dict[tuple[int, int], float] = {}  # infinite once it is settled
        self._is_asking = False

    def look(self) -> None:
        self._looks = self._looks + 1 if self._is_calm() and not self._is_asking else 0
        child = self._first()
        if self._looks < _CALM_LOOKS or child is None:
            return
        for model, report in self._models():
            where = (child.pid, model.handle)
            is_due = self._clock() >= self._not_before.get(where, 0.0)
            if model.handle in child.handles and is_due:
                self._is_asking = True
                self._tasks.start(self._widen(child, model, report))
                return

    async def _widen(self, child: Child, model: Placed, report: LoadReport) -> None:
        where = (child.pid, model.handle)
        before = self._started()
        self._not_before[where] = math.inf
        try:
            free_bytes = max(self._memory.free_bytes(), 0)
            order = orjson.dumps({"threads": self._threads, "free_bytes": free_bytes})
            answer = await child.connection.call(Op.WIDEN, model.handle, order)
        except SlipwayError as error:
            report.details["width"] = f"{report.threads} ({error.message})"
            return
        finally:
            self._is_asking = False
        found = orjson.loads(answer)
        report.details["width"] = found["width"]
        if found["is_wide"]:
            self._memory.widened(model.key, found["memory_bytes"])
            report.details["memory"] = str(self._memory[model.key])
        # A gain that was seen in spite of other work is one; none may be the other work's fault.
        if found["is_disturbed"] or (not found["is_wide"] and self._started() != before):
            pause_s = self._pauses_s.get(where, 1.0)
            self._pauses_s[where] = min(2 * pause_s, _MOST_PAUSE_S)
            self._not_before[where] = self._clock() + pause_s
        else:
            _log.info("%s: threads: %s", model.key, found["width"])
