"""Which models took workers down, and which of them did so too often to be run again."""

from collections import defaultdict, deque
from collections.abc import Callable

LIMIT = 3
WINDOW_S = 60.0


class CrashLedger:
    """`LIMIT` crashes within `WINDOW_S` seconds refuse a model until it is loaded anew."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=LIMIT))
        self._refused: set[int] = set()

    def record(self, handle: int) -> None:
        times = self._times[handle]
        times.append(self._clock())
        if len(times) == LIMIT and times[-1] - times[0] <= WINDOW_S:
            self._refused.add(handle)

    def is_refused(self, handle: int) -> bool:
        return handle in self._refused
