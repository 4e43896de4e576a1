"""The report's rows: each is promised before anything runs, and each is in the report at the end.

A row that was measured is judged against its target by its median; the lowest and highest round stand
beside it. One that was not says why.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.harness.spread import median


@dataclass(frozen=True)
class Promise:
    """A row to come. `at_least` or `at_most` is the target, if there is one."""

    key: str
    what: str
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return f"≤ {self.at_most:g} {self.unit}" if self.at_most is not None else ""


@dataclass(frozen=True)
class Row:
    """`samples`: one figure per round. `why_not`: set when there are none."""

    promise: Promise
    samples: tuple[float, ...] = ()
    why_not: str = ""
    note: str = ""

    @property
    def value(self) -> float | None:
        return median(self.samples) if self.samples else None

    @property
    def is_met(self) -> bool | None:
        """None: there is no target, or nothing was measured."""
        shortfall = self.shortfall
        return None if shortfall is None else shortfall <= 0

    @property
    def shortfall(self) -> float | None:
        """By how much of the target it is missed; zero or less is met."""
        value, low, high = self.value, self.promise.at_least, self.promise.at_most
        if value is None or (low is None and high is None):
            return None
        if math.isnan(value):
            return math.inf
        if low is not None:
            return 1 - value / low
        if not high:
            return math.inf if value > 0 else 0.0
        return value / high - 1

    @property
    def verdict(self) -> str:
        if not self.samples:
            return self.why_not
        shortfall = self.shortfall
        if shortfall is None:
            return ""
        if shortfall <= 0:
            return "met"
        return "missed" if math.isinf(shortfall) else f"missed by {shortfall:.1%}"


class Rows:
    """Filled in by one scenario; a second figure for a row is a mistake, and so is a row nobody promised."""

    def __init__(self, promises: Iterable[Promise]) -> None:
        self._rows = {promise.key: Row(promise, why_not="not measured") for promise in promises}
        self._filled: set[str] = set()

    def record(self, key: str, samples: Sequence[float], note: str = "") -> None:
        """Figures, one per round. Without any the row stays open."""
        if not samples:
            return
        if key in self._filled:
            raise ValueError(f"row {key} is measured already")
        self._filled.add(key)
        self._rows[key] = Row(self._rows[key].promise, tuple(samples), note=note)

    def give_up(self, why: str, *starts: str) -> None:
        """Rows that are still open and begin with one of `starts` (all, without) will not be measured."""
        for key, row in self._rows.items():
            if key not in self._filled and (not starts or key.startswith(starts)):
                self._rows[key] = Row(row.promise, why_not=why)
                self._filled.add(key)

    def finished(self) -> list[Row]:
        """In the order in which they were promised."""
        return list(self._rows.values())
