"""The event loop's pulse: how late it beats, and a watchdog thread that says so when it does not.

A loop that hangs cannot answer any probe, which is the honest answer: the prober's timeout is what
restarts the process. What this adds: the log says where the loop hangs while it does, the lag is a
metric, and the first probe after a long hang is answered with 503, so that it is not taken for health.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from service.observability.histogram import Histogram

_log = logging.getLogger("slipway.heartbeat")

BEAT_S = 0.1
STALE_S = 5.0
_SLICES, _SLICE_S = 6, 10.0


class Heartbeat:
    """Belongs to the event loop that starts it. `lag` counts every beat's lateness."""

    def __init__(self, lag: Histogram, clock: Callable[[], float] = time.monotonic) -> None:
        self._lag = lag
        self._clock = clock
        self._last = clock()
        self._due = self._last
        self._handle: asyncio.TimerHandle | None = None
        self._thread_id = 0
        self._stopped = threading.Event()
        # The largest lag of each of the last slices of a minute.
        self._maxima: deque[tuple[int, float]] = deque(maxlen=_SLICES)
        self.hangs = 0

    def start(self) -> None:
        """Beat until `stop`."""
        self._thread_id = threading.get_ident()
        self._last = self._clock()
        self._schedule()
        threading.Thread(target=self._watch, name="loop watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._handle is not None:
            self._handle.cancel()

    @property
    def is_stale(self) -> bool:
        """The loop has not beaten for so long that whoever asks should not trust it."""
        return self._clock() - self._last > STALE_S

    @property
    def max_lag_s(self) -> float:
        """Of the last minute."""
        now = self._slice()
        return max((lag for at, lag in self._maxima if now - at < _SLICES), default=0.0)

    def beat(self) -> None:
        """One beat; the timer calls it."""
        now = self._clock()
        lag_s = max(now - self._due, 0.0)
        self._lag.observe(lag_s)
        current = self._slice()
        if self._maxima and self._maxima[-1][0] == current:
            lag_s = max(lag_s, self._maxima.pop()[1])
        self._maxima.append((current, lag_s))
        self._last = now
        self._schedule()

    def check(self) -> None:
        """The watchdog's look, from its own thread: says once per hang where the loop stands."""
        if self.is_stale:
            if not self._is_told:
                self.hangs += 1
                frame = sys._current_frames().get(self._thread_id)
                stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
                _log.error("the event loop has hung for over %g s; it is here:\n%s", STALE_S, stack)
            self._is_told = True
        else:
            self._is_told = False

    _is_told = False

    def _watch(self) -> None:
        while not self._stopped.wait(STALE_S / 5):
            self.check()

    def _schedule(self) -> None:
        self._due = self._clock() + BEAT_S
        self._handle = asyncio.get_running_loop().call_later(BEAT_S, self.beat)

    def _slice(self) -> int:
        return int(self._clock() / _SLICE_S)
