"""The bounded queue before the slots: by priority, first come first served within one, nobody for ever.

A request of level p counts as if it had come p × PATIENCE_S later than it did. So a higher priority (the
lower number) goes first among those that came within that time, equal ones go in the order of arrival, and
whoever waits is overtaken only by what came less than the difference of their levels × PATIENCE_S after
it: a flood of urgent requests delays the others, but cannot starve them.

The head is never passed over because something smaller behind it would fit into memory: that would starve
long requests.
"""

import heapq
from collections.abc import Iterator
from itertools import count

from service.generation.row import Row

PATIENCE_S = 10.0


class WaitingQueue:
    """Rows that ended while they waited are skipped; `len` counts the living."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Row]] = []
        self._order = count()
        self._living = 0

    def __len__(self) -> int:
        return self._living

    def __iter__(self) -> Iterator[Row]:
        """In no particular order."""
        return (row for _, _, row in self._heap if not row.ended)

    def push(self, row: Row) -> None:
        row.is_waiting = True
        self._living += 1
        due = row.arrived_s + row.level * PATIENCE_S
        heapq.heappush(self._heap, (due, next(self._order), row))

    def head(self) -> Row | None:
        """Who is next, and stays."""
        while self._heap and self._heap[0][2].ended:
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def pop(self) -> Row:
        """Take the head."""
        row = self.head()
        assert row is not None
        heapq.heappop(self._heap)
        row.is_waiting = False
        self._living -= 1
        return row

    def left(self, row: Row) -> None:
        """A waiting row has ended. Its prompt is forgotten at once when the dead outnumber the living."""
        assert row.is_waiting
        row.is_waiting = False
        self._living -= 1
        if len(self._heap) > 2 * self._living + 64:
            self._heap = [entry for entry in self._heap if not entry[2].ended]
            heapq.heapify(self._heap)

    def newest_below(self, level: int) -> Row | None:
        """Who must make room for a request of `level`: of the lowest priority, the last to come."""
        below = [(row.level, row.arrived_s, i, row) for i, row in enumerate(self)]
        below = [entry for entry in below if entry[0] > level]
        return max(below)[3] if below else None
