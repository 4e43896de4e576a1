"""When the runtime's arena gives memory back that only a large batch needed.

An arena grows to what its largest run wanted and keeps it. It shrinks at the end of a run that asks for it,
and at no other time; freeing costs a synchronisation of the device, and the next large run allocates anew.
So it is asked for rarely: when a large run is some time ago and those since were much smaller, or when a
run was refused for want of memory. What an idle model holds comes back with its next run, or when it is
unloaded.
"""

import math
import time
from collections.abc import Callable

_MUCH = 2.0  # times the bytes of the largest run since
_AFTER_S = 30.0
_LEAST_BYTES = 1 << 20  # inputs smaller than this leave little behind


class Shrinkage:
    """Told of every run. Sizes are those of the inputs: what a run needs inside grows with them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._peak_bytes = 0
        self._peak_at = -math.inf
        self._since_bytes = 0  # largest run since the peak
        self._ran_out = False
        self._is_possible = True

    def is_due(self, size_bytes: int) -> bool:
        """Should the arena shrink at the end of this run? True once per occasion."""
        if not self._is_possible:
            return False
        now = self._clock()
        if size_bytes >= self._peak_bytes:
            self._peak_bytes, self._peak_at, self._since_bytes = size_bytes, now, 0
        else:
            self._since_bytes = max(self._since_bytes, size_bytes)
        is_lavish = (
            self._peak_bytes >= _LEAST_BYTES
            and now - self._peak_at >= _AFTER_S
            and self._peak_bytes >= _MUCH * max(size_bytes, self._since_bytes)
        )
        if not (is_lavish or self._ran_out):
            return False
        self._ran_out = False
        self._peak_bytes, self._peak_at, self._since_bytes = size_bytes, now, 0
        return True

    def ran_out(self) -> None:
        """A run was refused for want of memory: the next one tidies up."""
        self._ran_out = True

    def give_up(self) -> None:
        """This session has no arena that could shrink."""
        self._is_possible = False
