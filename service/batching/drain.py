"""How fast a queue empties, measured; what admission and Retry-After are computed from."""

import math
import random

_MEMORY_S = 2.0  # seconds of emptying after which what was measured before has faded
_SHORTEST_S, _LONGEST_S = 1.0, 30.0
_SPREAD_S = 2.0
_ODD = 8.0


class DrainRate:
    """Rows per second while something waits, exponentially weighted. Times are given, never read.

    Only full speed counts: from a batch that left others waiting and no instance free, to the next
    batch. A quiet server runs small batches one after the other; taking that for its speed would refuse
    a burst which it could serve with ease. Before it was seen busy, the best that it might do is
    supposed: `most_rows` at once in the time of its last run.
    """

    def __init__(self, most_rows: int = 1) -> None:
        self._most_rows = most_rows
        self._run_s = 0.0
        self._rows = 0.0
        self._seconds = 0.0
        self._taken = 0
        self._since: float | None = None

    def taken(self, rows: int, now: float, *, is_saturated: bool) -> None:
        """A batch of `rows` was taken to be run. `is_saturated`: it left others waiting, and all instances
        are busy now."""
        if self._since is not None:
            self.record(self._taken, now - self._since)
        self._taken = rows
        self._since = now if is_saturated else None

    def ran(self, seconds: float) -> None:
        """A run took so long, the way to the worker and back included."""
        self._run_s = seconds

    def emptied(self) -> None:
        """Nothing waits: until the next batch nothing is measured."""
        self._since = None

    def record(self, rows: int, seconds: float) -> None:
        """At full speed `rows` took `seconds`."""
        if self._rows:
            # A stopped process, a worker that was lost: no measure of how it will be.
            seconds = min(seconds, _ODD * self.wait_s(rows))
        elif (
            self._run_s
        ):  # two instances may end in the same moment: the first interval alone tells nothing
            self._rows, self._seconds = self._most_rows, self._run_s
        keep = math.exp(-seconds / _MEMORY_S)
        self._rows = self._rows * keep + rows
        self._seconds = self._seconds * keep + seconds

    @property
    def is_measured(self) -> bool:
        """Something has run."""
        return self._rows > 0.0 or self._run_s > 0.0

    def wait_s(self, rows: int) -> float:
        """How long `rows` waiting rows will take; 0 while nothing was measured."""
        if self._rows:
            return rows * self._seconds / self._rows
        return rows * self._run_s / self._most_rows

    def retry_after_s(self, rows: int) -> float:
        """When the queue will have emptied, between 1 and 30 s; spread over two seconds or a quarter, so
        that refused callers do not return together."""
        wait_s = min(max(self.wait_s(rows), _SHORTEST_S), _LONGEST_S)
        return wait_s + random.random() * max(_SPREAD_S, wait_s / 4)
