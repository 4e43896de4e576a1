"""When there is nothing to do: give models that gain by it a wide session on the worker that is asked first.

The front end marks a batch that is alone; a worker that holds a wide session of its model runs it there. So
the sum of threads that run stays within the plan, except for the rest of a wide run when a second batch
arrives meanwhile: holding that one back was tried in thought and costs other models more.
"""

import logging
from collections.abc import Callable, Iterable

import orjson

from models.errors import SlipwayError
from service.workers.base import LoadReport
from service.workers.channel import Op
from service.workers.child import Child
from service.workers.placement import Placed
from service.workers.tasks import Tasks

_log = logging.getLogger("slipway.pool")

_CALM_LOOKS = 2  # of the supervisor: about a second without work
_TRIES = 5


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
    ) -> None:
        self._threads = threads
        self._tasks = tasks
        self._models, self._first = models, first
        self._is_calm, self._started = is_calm, started
        self._looks = 0
        self._tries: dict[tuple[int, int], int] = {}  # worker, model → how often asked
        self._settled: set[tuple[int, int]] = set()
        self._is_asking = False

    def look(self) -> None:
        self._looks = self._looks + 1 if self._is_calm() and not self._is_asking else 0
        child = self._first()
        if self._looks < _CALM_LOOKS or child is None:
            return
        for model, report in self._models():
            where = (child.pid, model.handle)
            if model.handle in child.handles and where not in self._settled:
                self._is_asking = True
                self._tasks.start(self._widen(child, model, report))
                return

    async def _widen(self, child: Child, model: Placed, report: LoadReport) -> None:
        where = (child.pid, model.handle)
        before = self._started()
        tries = self._tries[where] = self._tries.get(where, 0) + 1
        try:
            order = orjson.dumps({"threads": self._threads})
            answer = await child.connection.call(Op.WIDEN, model.handle, order)
        except SlipwayError as error:
            report.details["width"] = f"{report.threads} ({error.message})"
            self._settled.add(where)
            return
        finally:
            self._is_asking = False
        found = orjson.loads(answer)
        # A gain that was seen in spite of other work is one; none may be the other work's fault.
        is_disturbed = found["is_disturbed"] or (not found["is_wide"] and self._started() != before)
        if is_disturbed and tries < _TRIES:
            return
        self._settled.add(where)
        report.details["width"] = found["width"]
        _log.info("%s: threads: %s", model.key, found["width"])
