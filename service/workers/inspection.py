"""Is a worker still at work? Judged from outside, by the pulse that it shares.

The worker's own watchdog has asked a run that takes too long to stop; what is found here did not listen:
one endless kernel, a stopped process, native code that keeps the interpreter to itself.
"""

import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from models.errors import RunTooLong, SlipwayError
from models.runtimes.base import LoadTimeout
from service.errors import WorkerLost
from service.workers.child import Child
from service.workers.pulse import LOAD_LANE, Doing

LOOK_S = 0.5
_MERCY_S = 2.0  # between asking a run to stop and killing its process
_SILENT_LOOKS = 20  # of ours, so that a suspended machine does not condemn everybody when it wakes
_START_S = 60.0  # a process that has not come up by then will not


class Inspection:
    """`verdict` is to be asked for each child every LOOK_S."""

    def __init__(
        self,
        hang_timeout_s: float,
        load_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_limit_s = hang_timeout_s + _MERCY_S
        self._load_limit_s = load_timeout_s
        self._clock = clock
        self._seen: WeakKeyDictionary[Child, tuple[int, int]] = WeakKeyDictionary()
        self._late: WeakKeyDictionary[Child, set[Doing]] = WeakKeyDictionary()

    def verdict(self, child: Child) -> SlipwayError | None:
        """Why this worker must be killed: the error of whatever it is busy with. None: it need not."""
        pulse = child.connection.pulse
        now = self._clock()
        # Twice in a row: the clock of a machine that was suspended may jump over any limit, and whatever
        # ran then ends as soon as it goes on.
        late = {doing for doing in pulse.everything() if now - doing.began > self._limit_s(doing)}
        for doing in late & self._late.get(child, set()):
            if doing.lane == LOAD_LANE:
                limit = f"{self._load_limit_s:g} s"
                return LoadTimeout(f"did not load within {limit} (--load-timeout-s allows more)")
            return RunTooLong("the model ran for too long on this input; its worker was ended")
        self._late[child] = late
        beats = pulse.beats
        if beats == 0:
            is_late = now - child.started > _START_S
            return WorkerLost("the worker did not start; send it again") if is_late else None
        last, looks = self._seen.get(child, (-1, 0))
        looks = looks + 1 if beats == last else 0
        self._seen[child] = (beats, looks)
        return (
            WorkerLost("the worker stood still; send it again") if looks > _SILENT_LOOKS else None
        )

    def _limit_s(self, doing: Doing) -> float:
        return self._load_limit_s if doing.lane == LOAD_LANE else self._run_limit_s
