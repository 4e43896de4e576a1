"""Percentiles out of cumulative buckets."""

import math

import pytest

from benchmarks.scenarios.generation_latency import upper_bound


@pytest.mark.parametrize(("share", "bound"), [(0.5, 0.001), (0.9, 0.005), (0.99, math.inf)])
def test_the_bound_holds_for_at_least_that_share(share: float, bound: float) -> None:
    assert upper_bound({0.001: 50, 0.005: 95, math.inf: 100}, share) == bound


def test_nothing_has_no_bound() -> None:
    assert math.isnan(upper_bound({0.001: 0, math.inf: 0}, 0.99))
    assert math.isnan(upper_bound({}, 0.99))
