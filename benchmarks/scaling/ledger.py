"""Every simulated request is in here once: arrived = answered + refused + under way."""

from array import array
from collections import deque
from dataclasses import dataclass, field

import numpy as np

_WINDOW_S = 60.0


@dataclass
class Ledger:
    """Requests that arrived before `warm_s` are accounted for, but are in no figure."""

    warm_s: float = 0.0
    arrived: int = 0
    answered: int = 0
    refused: int = 0
    counted: int = 0
    counted_refused: int = 0
    answered_after_warm_up: int = 0
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    waits_s: "array[float]" = field(default_factory=lambda: array("d"))
    runs: int = 0
    rows: int = 0
    first_refusal_s: float | None = None
    last_refusal_s: float | None = None
    _recent: deque[tuple[float, float]] = field(default_factory=deque)

    @property
    def under_way(self) -> int:
        return self.arrived - self.answered - self.refused

    def arrive(self, now: float) -> None:
        self.arrived += 1
        self.counted += now >= self.warm_s

    def answer(self, arrived: float, now: float) -> None:
        self.answered += 1
        self.answered_after_warm_up += now >= self.warm_s
        if arrived >= self.warm_s:
            self.latencies_s.append(now - arrived)

    def refuse(self, arrived: float, now: float) -> None:
        self.refused += 1
        if arrived >= self.warm_s:
            self.counted_refused += 1
            self.first_refusal_s = now if self.first_refusal_s is None else self.first_refusal_s
            self.last_refusal_s = now

    def run(self, now: float, waits_s: list[float]) -> None:
        """A batch begins to run, of requests that waited so long."""
        self.runs += 1
        self.rows += len(waits_s)
        if now >= self.warm_s:
            self.waits_s.extend(waits_s)
        self._recent.extend([(now, wait_s) for wait_s in waits_s])

    def recent_wait_s(self, now: float, share: float) -> float:
        """That share of all who began to run in the last minute waited no longer; 0 when nobody did."""
        recent = self._recent
        while recent and recent[0][0] < now - _WINDOW_S:
            recent.popleft()
        return float(np.quantile([wait_s for _, wait_s in recent], share)) if recent else 0.0

    def latency_s(self, share: float) -> float:
        return float(np.quantile(self.latencies_s, share)) if self.latencies_s else 0.0
