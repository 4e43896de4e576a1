"""One timer for the deadlines of all connections, because a timer for each request costs more than most
of what else is done for it. A deadline is kept to within the sweep's period.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

PERIOD_S = 0.5
_STALL_PERIODS = 2
_ONE_POLL_S = 0.001


class Swept(Protocol):
    def sweep(self, now: float) -> None:
        """Look at this connection's deadlines."""


class Sweeper:
    """`now` is the clock as of the last look; good enough to count deadlines from. Turns while there
    are connections."""

    def __init__(self, clock: Callable[[], float], period_s: float = PERIOD_S) -> None:
        self._clock = clock
        self._period_s = period_s
        self._timer: asyncio.TimerHandle | None = None
        self._connections: Iterable[Swept] = ()
        self._stopped_since: float | None = None
        self.now = clock()

    def watch(self, connections: Iterable[Swept]) -> None:
        """Called for every new connection; `connections` is the server's own, living set of them."""
        if self._timer is None:
            self._connections = connections
            self._start()

    def arrival(self, now: float) -> float:
        """When what is being read may have come: now, or as early as the last look, where the process was
        stopped since. What lay in the socket all the while must not pass for fresh."""
        looked = self.now if self._stopped_since is None else self._stopped_since
        stalled_s = self._clock() - looked
        return now - stalled_s if self._is_stall(stalled_s) else now

    def sweep(self) -> None:
        """What the timer calls."""
        self._timer = None
        looked, self.now = self.now, self._clock()
        if self._is_stall(self.now - looked):
            # The timer may be first to run after a stop; what came meanwhile is read at the next poll.
            self._stopped_since = looked
            asyncio.get_running_loop().call_later(_ONE_POLL_S, self._caught_up)
        for connection in list(self._connections):
            connection.sweep(self.now)
        if self._connections:
            self._start()

    def _is_stall(self, seconds: float) -> bool:
        return seconds >= _STALL_PERIODS * self._period_s

    def _caught_up(self) -> None:
        self._stopped_since = None

    def _start(self) -> None:
        self.now = self._clock()
        self._timer = asyncio.get_running_loop().call_later(self._period_s, self.sweep)
