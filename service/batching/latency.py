"""A target for the 95th percentile of a model's latency, followed by bounding what one run may take.

Latency counts from a request's acceptance to its outputs. A run may take what is left of the target for the
request that leads its batch, by the cost curve. What is measured corrects that: when more than 5 % of a
window's answers are late, beyond chance, runs get a fifth less of the target; when half as many are, a
twentieth more.

Small batches cost throughput, and where batches pay a queue is often served sooner by large ones. So tighter
bounds are kept only while they help: when three in a row did not bring the share of late answers down, or a
single item takes longer than the target, batches are as large as pays for ten seconds before bounds are tried
again; and whenever more waits than bounded batches could serve in time they are not bounded either. Nobody is
refused or held back for a target; who may wait is admission's to say. Pure arithmetic: times are given.
"""

import math
from collections.abc import Callable, Sequence

from service.batching.cost import CostCurve
from service.batching.sizing import TRIP_S
from service.batching.ticket import Ticket

LATE_SHARE = 0.05
"""What a 95th percentile leaves."""

_EARLY_SHARE = LATE_SHARE / 2
_WINDOW_ANSWERS = 200
_WINDOW_S = 1.0  # a window also ends then, with a tenth of the answers
_LESS, _MORE = 0.8, 0.05
_LEAST_ALLOWED = 0.2
_HELPS = 0.9  # of the share that was late before
_PATIENCE = 3
_PAUSE_S = 10.0


class LatencyTarget:
    """`workers`: batches that run at once. `on_change` counts decisions by reason: late, early,
    unreachable."""

    def __init__(
        self,
        target_s: float,
        curve: CostCurve,
        workers: int,
        on_change: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.target_s = target_s
        self.allowed = 1.0
        self._curve = curve
        self._workers = workers
        self._on_change = on_change
        self._answers = self._late = self._behind = self._looks = 0
        self._window_began = 0.0
        self._before = 1.0  # the share of the last late window
        self._in_vain = 0
        self._paused_until = -math.inf

    @property
    def most_s(self) -> float:
        """What a run may take while the target can be held, the way to the worker included."""
        return self.target_s * self.allowed

    def bound_s(self, now: float, head: Ticket, waiting_work: float) -> float:
        """What the run led by `head` may take; infinite where a bound would do no good. `waiting_work`: of
        all that waits."""
        self._looks += 1
        curve = self._curve
        if now < self._paused_until or not curve.is_known:
            return math.inf
        most_s = self.most_s
        single_s = curve.run_s(head.rows, head.work / (head.rows or 1)) + TRIP_S
        useful_s = most_s - curve.fixed_s - TRIP_S
        if single_s > most_s or useful_s <= 0.0:
            return math.inf
        runs = waiting_work * curve.unit_s / useful_s
        if runs * most_s > self.target_s * self._workers:
            self._behind += 1
            return math.inf
        left_s = self.target_s - (now - head.arrived)
        # One that is late already gains nothing by running with fewer others.
        return min(most_s, left_s) if left_s >= single_s else most_s

    def delay_s(self, wanted_s: float) -> float:
        """How long a batch may wait for company when `wanted_s` was asked for; as long again for its run."""
        return min(wanted_s, self.most_s / 2)

    def answered(self, batch: Sequence[Ticket], now: float) -> int:
        """A batch has run; how many of it are late."""
        latest = now - self.target_s
        late = sum([ticket.arrived < latest for ticket in batch])
        self._late += late
        self._answers += len(batch)
        if self._answers >= _WINDOW_ANSWERS:
            self._decide(now)
        elif now - self._window_began >= _WINDOW_S:
            if self._answers >= _WINDOW_ANSWERS // 10:
                self._decide(now)
            elif not self._late:
                self._begin(now)
        return late

    def _decide(self, now: float) -> None:
        answers, late = self._answers, self._late / self._answers
        chance = math.sqrt(LATE_SHARE * (1 - LATE_SHARE) / answers)
        if now < self._paused_until:
            pass
        elif late > LATE_SHARE + chance:
            # While batches were not bounded, a tighter bound would not have helped.
            if self._behind * 2 <= self._looks:
                self._tighten(now, late)
        elif late <= _EARLY_SHARE:
            self._before, self._in_vain = 1.0, 0
            if self.allowed < 1.0:
                self.allowed = min(1.0, self.allowed + _MORE)
                self._on_change("early")
        self._begin(now)

    def _tighten(self, now: float, late: float) -> None:
        self._in_vain = 0 if late < _HELPS * self._before else self._in_vain + 1
        self._before = late
        if self._in_vain == _PATIENCE or self.allowed == _LEAST_ALLOWED:
            self._before, self._in_vain, self.allowed = 1.0, 0, 1.0
            self._paused_until = now + _PAUSE_S
            self._on_change("unreachable")
        else:
            self.allowed = max(_LEAST_ALLOWED, self.allowed * _LESS)
            self._on_change("late")

    def _begin(self, now: float) -> None:
        self._window_began = now
        self._answers = self._late = self._behind = self._looks = 0
