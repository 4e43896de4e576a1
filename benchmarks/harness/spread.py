"""Figures of several rounds become one: the median, and how far the rounds lie apart."""

import math
from collections.abc import Sequence
from statistics import median

__all__ = ["divided", "median", "percentile", "subtracted"]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed. NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def divided(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, so that whatever slowed a whole round cancels out. A round that only one of
    both has is left out."""
    return [mine / other for mine, other in zip(ours, theirs, strict=False)]


def subtracted(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [mine - other for mine, other in zip(ours, theirs, strict=False)]
