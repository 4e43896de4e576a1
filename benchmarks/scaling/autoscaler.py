"""How many pods there should be: what Kubernetes' HorizontalPodAutoscaler computes, without Kubernetes.

Kept of it: per metric the wanted count with a tolerance, the largest of all metrics, the stabilisation
windows, the policies per period, the bounds. Source: its documentation, "Algorithm details" and
"Configurable scaling behavior". KEDA hands its triggers to such an autoscaler, so that both are meant.
"""

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scaling:
    """The chart's values under `autoscaling`, and the cluster's rhythm. `queue_wait_p95_s`: the second
    trigger; 0: none. `scrape_s` is Prometheus's interval, `sync_s` the autoscaler's."""

    least: int = 2
    most: int = 10
    target_in_flight: float = 16.0
    queue_wait_p95_s: float = 0.0
    sync_s: float = 15.0
    scrape_s: float = 15.0
    tolerance: float = 0.1
    up_share: float = 1.0
    up_pods: int = 2
    up_period_s: float = 15.0
    down_pods: int = 1
    down_period_s: float = 60.0
    down_window_s: float = 300.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"bounds {self.least} to {self.most} are none")
        if self.target_in_flight <= 0:
            raise ValueError("target_in_flight must be positive")


@dataclass
class Autoscaler:
    """Times are given, never read."""

    scaling: Scaling
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)
    _changes: deque[tuple[float, int]] = field(default_factory=deque)

    def decide(
        self, now: float, current: int, ready: int, in_flight: float, queue_wait_p95_s: float = 0.0
    ) -> int:
        """`current`: pods that were asked for. `in_flight`: the sum that Prometheus knows."""
        scaling = self.scaling
        wanted = self._by_average(current, in_flight)
        if scaling.queue_wait_p95_s:
            wanted = max(wanted, self._by_wait(current, ready, queue_wait_p95_s))
        wanted = min(max(wanted, scaling.least), scaling.most)
        stable = max(wanted, min(current, self._highest_lately(now, wanted)))
        chosen = min(max(self._within_policies(now, current, stable), scaling.least), scaling.most)
        if chosen != current:
            self._changes.append((now, chosen - current))
        return chosen

    def _by_average(self, current: int, in_flight: float) -> int:
        ratio = in_flight / (self.scaling.target_in_flight * current)
        if abs(ratio - 1) <= self.scaling.tolerance:
            return current
        return math.ceil(in_flight / self.scaling.target_in_flight)

    def _by_wait(self, current: int, ready: int, queue_wait_p95_s: float) -> int:
        ratio = queue_wait_p95_s / self.scaling.queue_wait_p95_s
        return current if abs(ratio - 1) <= self.scaling.tolerance else math.ceil(ready * ratio)

    def _highest_lately(self, now: float, wanted: int) -> int:
        """Going down is held back by what was wanted within the window."""
        while self._wanted and self._wanted[0][0] <= now - self.scaling.down_window_s:
            self._wanted.popleft()
        self._wanted.append((now, wanted))
        return max(one for _, one in self._wanted)

    def _within_policies(self, now: float, current: int, wanted: int) -> int:
        scaling = self.scaling
        horizon_s = max(scaling.up_period_s, scaling.down_period_s)
        while self._changes and self._changes[0][0] <= now - horizon_s:
            self._changes.popleft()
        if wanted > current:
            before = current - self._changed(now, scaling.up_period_s, 1)
            most = max(math.ceil(before * (1 + scaling.up_share)), before + scaling.up_pods)
            return max(current, min(wanted, most))
        before = current - self._changed(now, scaling.down_period_s, -1)
        return min(current, max(wanted, before - scaling.down_pods))

    def _changed(self, now: float, period_s: float, sign: int) -> int:
        """Pods added (or taken, as a negative number) within the period."""
        return sum(
            change for when, change in self._changes if when > now - period_s and change * sign > 0
        )
