"""How fast a queue empties, measured; what Retry-After is computed from."""

import math
import random

_MEMORY_S = 5.0  # older completions fade with this time constant
_SHORTEST_S, _LONGEST_S = 1.0, 30.0


class DrainRate:
    """Rows per second of busy time, exponentially weighted. Times are given, never read."""

    def __init__(self) -> None:
        self._rows = 0.0
        self._busy_s = 0.0
        self._last = -math.inf

    def record(self, rows: int, began: float, ended: float) -> None:
        """A batch ran from `began` to `ended`. Overlapping batches share their time."""
        busy_s = ended - max(began, self._last)
        keep = math.exp(-max(ended - self._last, 0.0) / _MEMORY_S)
        self._rows = self._rows * keep + rows
        self._busy_s = self._busy_s * keep + max(busy_s, 0.0)
        self._last = max(ended, self._last)

    @property
    def is_measured(self) -> bool:
        return self._rows > 0.0

    def wait_s(self, rows: int) -> float:
        """How long `rows` waiting rows will take; 0 while nothing was measured."""
        return rows * self._busy_s / self._rows if self._rows else 0.0

    def retry_after_s(self, rows: int) -> float:
        """Between 1 and 30 s, spread by up to a quarter so that refused callers do not return together."""
        wait_s = min(max(self.wait_s(rows), _SHORTEST_S), _LONGEST_S)
        return wait_s * (1 + random.random() / 4)
