"""Which requests' time is over: asked before every step, answered from the earliest deadline alone."""

import heapq
import math
from itertools import count

from service.generation.row import Row


class Deadlines:
    """Waiting and running rows alike. Ended rows are forgotten when they outnumber the others."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Row]] = []
        self._order = count()
        self._tidy_at = 64

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, row: Row) -> None:
        if row.deadline_s == math.inf:
            return
        heapq.heappush(self._heap, (row.deadline_s, next(self._order), row))
        if len(self._heap) > self._tidy_at:  # a prompt must not stay until a deadline far away
            self._heap = [entry for entry in self._heap if not entry[2].ended]
            heapq.heapify(self._heap)
            self._tidy_at = 2 * len(self._heap) + 64

    def over(self, now: float) -> list[Row]:
        """Those whose time is over and who have not ended; each is named once."""
        found: list[Row] = []
        while self._heap and self._heap[0][0] <= now:
            row = heapq.heappop(self._heap)[2]
            if not row.ended:
                found.append(row)
        return found
