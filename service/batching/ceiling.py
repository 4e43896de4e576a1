"""How much work a batch may hold after one ran out of memory.

Half of what did not fit, at first. Memory comes back (other models are unloaded, an arena shrinks), so twice
as much is tried every minute, until what did not fit is tried again. Without this every large batch would be
run, refused and halved again.
"""

import math

_CALM_S = 60.0


class MemoryCeiling:
    """Work as tickets count it: padded values or rows. Infinite until a batch was refused for memory."""

    def __init__(self) -> None:
        self._most = math.inf
        self._refused = math.inf
        self._at = 0.0

    def ran_out(self, work: float, now: float) -> None:
        """A batch of so much work did not fit."""
        self._most = min(self.most_work(now), work / 2)
        self._refused, self._at = work, now

    def most_work(self, now: float) -> float:
        if self._most == math.inf:
            return math.inf
        most = self._most * 2.0 ** int((now - self._at) / _CALM_S)
        if most >= 2 * self._refused:
            self._most = self._refused = math.inf
            return math.inf
        return most
