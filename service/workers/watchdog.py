"""The worker's own watch: says that the process lives, and stops a run that takes too long.

Stopping is asked of the runtime, which looks between the nodes of a graph; one endless kernel does not
listen. Then the owner, which watches the same pulse from outside, kills the process a little later. A
process that is stopped, or whose native code keeps the interpreter's lock, does not beat.
"""

import threading
import time
from collections.abc import Callable

from service.workers.pulse import Doing, Pulse

BEAT_S = 0.25


class Watchdog:
    """`terminate` is called with what has been running for `limit_s`; once for each such thing."""

    def __init__(
        self,
        pulse: Pulse,
        terminate: Callable[[Doing], None],
        limit_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pulse = pulse
        self._terminate = terminate
        self._limit_s = limit_s
        self._clock = clock
        self._late: set[Doing] = set()
        self._told: set[Doing] = set()

    def start(self) -> None:
        """A thread that ends with the process. The first beat is now: the process has come up."""
        self._pulse.beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def look(self) -> None:
        self._pulse.beat()
        late = {
            doing
            for doing in self._pulse.everything()
            if self._clock() - doing.began > self._limit_s
        }
        # In two looks: a suspended machine's clock may have jumped over the limit.
        due = late & self._late
        for doing in due - self._told:
            self._terminate(doing)
        self._late, self._told = late, due

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(min(BEAT_S, self._limit_s / 4)):
            self.look()
