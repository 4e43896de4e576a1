"""A model that took a worker down runs alone from then on, so that its neighbours are hit once at most.

Each gets a process of its own. It returns to the others when it has behaved: CALM_S seconds without a
crash, in which it answered GOOD_RUNS batches or more. A process that is idle for as long is ended; the model
stays in quarantine, and its next request starts another. LIMIT crashes within the window of `crashes` refuse
the model until it is loaded anew.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from models.errors import SlipwayError
from service.workers.base import WorkerInfo
from service.workers.child import Child
from service.workers.connection import Connection
from service.workers.dispatch import Dispatcher
from service.workers.hosted import Hosted
from service.workers.tasks import Tasks

_log = logging.getLogger("slipway.pool")

CALM_S = 60.0
GOOD_RUNS = 10


@dataclass(eq=False)
class Ward:
    """One model in quarantine. `child` is None while its process starts or rests."""

    model: Hosted
    child: Child | None = None
    is_starting: bool = False
    since: float = 0.0
    ended_before: int = 0  # what the process had done when the model was there
    ended_at_look: int = 0
    idle_since: float = 0.0


class Quarantine:
    """`make` starts a process, `fill` gives it the model, `release` takes the model back to the others.

    All of it belongs to the event loop; `clock` is in seconds.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        make: Callable[[], Child],
        fill: Callable[[Child, Hosted], Awaitable[None]],
        release: Callable[[Hosted], Awaitable[None]],
        *,
        clock: Callable[[], float],
        calm_s: float = CALM_S,
        good_runs: int = GOOD_RUNS,
    ) -> None:
        self._dispatcher = dispatcher
        self._make, self._fill, self._release = make, fill, release
        self._clock, self._calm_s, self._good_runs = clock, calm_s, good_runs
        self._wards: dict[int, Ward] = {}
        self._tasks = Tasks()

    def __contains__(self, handle: int) -> bool:
        return handle in self._wards

    def __bool__(self) -> bool:
        return bool(self._wards)

    def children(self) -> Iterator[Child]:
        for ward in self._wards.values():
            if ward.child is not None:
                yield ward.child

    def describe(self) -> list[WorkerInfo]:
        return [
            WorkerInfo(
                f"quarantine-{ward.model.key.name}-{ward.model.key.version}",
                ward.child.pid,
                "quarantine",
                0,
                (str(ward.model.key),),
            )
            for ward in self._wards.values()
            if ward.child is not None
        ]

    def owner_of(self, connection: Connection) -> Child | None:
        """The process of this connection, if it is one of ours."""
        for child in self.children():
            if child.connection is connection:
                return child
        return None

    def admit(self, model: Hosted) -> None:
        """Run it alone from now on; start a process for it, unless there is one."""
        ward = self._wards.get(model.handle)
        if ward is None:
            ward = self._wards[model.handle] = Ward(model)
        self._wake(ward)

    def need(self, handle: int) -> None:
        """A request for a model in quarantine has come."""
        self._wake(self._wards[handle])

    def ended(self, child: Child) -> None:
        """A process was lost; whether the model gets another is for `admit` or `forget` to say."""
        for ward in self._wards.values():
            if ward.child is child:
                ward.child = None
                self._tasks.start(_reap(child))

    def forget(self, handle: int) -> None:
        """The model is unloaded or refused: its process is not needed any more."""
        ward = self._wards.pop(handle, None)
        if ward is not None and ward.child is not None:
            self._dispatcher.remove(ward.child.connection)
            self._tasks.start(ward.child.close())

    def look(self) -> None:
        """End the idle, release those who behaved. To be called now and then."""
        now = self._clock()
        for ward in list(self._wards.values()):
            if ward.child is None or ward.is_starting:
                continue
            ended = ward.child.connection.pulse.ended
            if ended != ward.ended_at_look or ward.child.connection.is_busy:
                ward.ended_at_look, ward.idle_since = ended, now
            is_calm = now - ward.since >= self._calm_s
            if is_calm and ended - ward.ended_before >= self._good_runs:
                ward.is_starting = True  # on its way out: not to be looked at meanwhile
                self._tasks.start(self._discharge(ward))
            elif now - ward.idle_since >= self._calm_s:
                _log.info("%s rests in quarantine", ward.model.key)
                child, ward.child = ward.child, None
                self._dispatcher.remove(child.connection)
                self._tasks.start(child.close())

    async def close(self) -> None:
        await self._tasks.cancel()
        await asyncio.gather(*(child.close() for child in self.children()))
        self._wards.clear()

    def _wake(self, ward: Ward) -> None:
        if ward.child is None and not ward.is_starting:
            ward.is_starting = True
            self._tasks.start(self._start(ward))

    async def _start(self, ward: Ward) -> None:
        child = self._make()
        ward.child = child
        try:
            await self._fill(child, ward.model)
        except SlipwayError as error:
            _log.error("%s does not load in quarantine: %s", ward.model.key, error.message)
            ward.is_starting = False
            if ward.child is child:
                ward.child = None
                await child.close()
                self._dispatcher.refuse(ward.model.handle, error)
            return
        except asyncio.CancelledError:
            await child.close()
            raise
        now = self._clock()
        ward.is_starting = False
        ward.since = ward.idle_since = now
        ward.ended_before = ward.ended_at_look = child.connection.pulse.ended
        if self._wards.get(ward.model.handle) is not ward:  # forgotten meanwhile
            await child.close()
        elif child.is_alive:
            child.handles.add(ward.model.handle)
            self._dispatcher.add(child.connection)

    async def _discharge(self, ward: Ward) -> None:
        handle = ward.model.handle
        try:
            await self._release(ward.model)
        except SlipwayError as error:
            _log.warning("%s stays in quarantine: %s", ward.model.key, error.message)
            ward.since = self._clock()
            return
        finally:
            ward.is_starting = False
        _log.info("%s has behaved and returns from quarantine", ward.model.key)
        del self._wards[handle]
        await self._release(ward.model)  # also to a worker that came up before the line above
        if (child := ward.child) is not None:
            child.handles.clear()
            while child.connection.is_busy:
                await asyncio.sleep(0.05)
            self._dispatcher.remove(child.connection)
            await child.close()


async def _reap(child: Child) -> None:
    child.kill()
    await child.reap()
