"""What is wanted of a setting: the most answers per second, within a limit of waiting if one is named."""

import math
from dataclasses import dataclass
from typing import Literal, cast

from models.errors import UsageError
from service.tuning.outcome import Outcome
from service.tuning.plan import MeasuredLoad

Percentile = Literal["p50_ms", "p95_ms", "p99_ms"]
_PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")
_MOST_MS = 3_600_000.0


@dataclass(frozen=True)
class Slo:
    """So many milliseconds at most, at that percentile of the answers."""

    percentile: Percentile
    limit_ms: float

    @classmethod
    def parse(cls, typed: str) -> "Slo":
        """`p99_ms=50`. Raises UsageError with what was expected."""
        name, _, value = typed.partition("=")
        try:
            limit_ms = float(value)
        except ValueError:
            limit_ms = math.nan
        if name not in _PERCENTILES or not 0 < limit_ms <= _MOST_MS:
            raise UsageError(
                f"--slo {typed!r}: write a percentile and milliseconds, such as p99_ms=50; percentiles: "
                f"{', '.join(_PERCENTILES)}"
            )
        return cls(cast("Percentile", name), limit_ms)

    def __str__(self) -> str:
        return f"{self.percentile}={self.limit_ms:g}"

    def of(self, load: MeasuredLoad) -> float:
        """The percentile in question; infinite when nobody was answered."""
        found: float | None = getattr(load, self.percentile)
        return math.inf if found is None else found


@dataclass(frozen=True)
class Objective:
    """Judges outcomes. A load with errors counts as none: who is refused has waited for nothing."""

    slo: Slo | None = None

    def __str__(self) -> str:
        return "throughput" if self.slo is None else str(self.slo)

    def is_kept(self, load: MeasuredLoad) -> bool:
        if load.error_share > 0 or load.p50_ms is None:
            return False
        return self.slo is None or self.slo.of(load) <= self.slo.limit_ms

    def is_reached(self, outcome: Outcome) -> bool:
        return any(map(self.is_kept, outcome.loads))

    def best_load(self, outcome: Outcome) -> MeasuredLoad | None:
        """With the most answers among those where the limit is kept; else the one nearest to it. None
        for a failure."""
        kept = [load for load in outcome.loads if self.is_kept(load)]
        if kept:
            return max(kept, key=lambda load: load.requests_per_s)
        return min(outcome.loads, key=self._distance, default=None)

    def score(self, outcome: Outcome) -> tuple[int, float]:
        """Larger is better; what keeps the limit at some load stands before all that does not."""
        load = self.best_load(outcome)
        if load is None:
            return (0, -math.inf)
        if self.is_kept(load):
            return (1, load.requests_per_s)
        return (0, -self._distance(load))

    def gain(self, outcome: Outcome, other: Outcome) -> float:
        """How many times better; infinite when only the first keeps the limit, 0 the other way round."""
        (mine_kept, mine), (others_kept, others) = self.score(outcome), self.score(other)
        if mine_kept != others_kept:
            return math.inf if mine_kept else 0.0
        if mine_kept:
            return mine / others if others else math.inf
        return others / mine if mine else math.inf

    def _distance(self, load: MeasuredLoad) -> float:
        """Milliseconds at the percentile (the median without a limit), longer where some got errors."""
        waited_ms = self.slo.of(load) if self.slo is not None else (load.p50_ms or math.inf)
        return waited_ms * (1 + load.error_share) + (1e9 if load.error_share == 1 else 0.0)
