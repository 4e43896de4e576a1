"""Arrivals: the rates that were asked for, the spread that they are named for, alike for the same seed."""

import random

import numpy as np
import pytest

from benchmarks.scaling.arrivals import Arrivals, bursty, poisson, stepped


def per_second(arrivals: Arrivals, seconds: int, seed: int = 1) -> np.ndarray:
    return np.histogram(list(arrivals(random.Random(seed))), bins=seconds, range=(0, seconds))[0]


def test_poisson_counts_vary_as_much_as_their_mean() -> None:
    counts = per_second(poisson(50, 2000), 2000)
    assert counts.mean() == pytest.approx(50, rel=0.02)
    assert counts.var() == pytest.approx(50, rel=0.1)


def test_bursts_keep_the_mean_and_vary_more() -> None:
    counts = per_second(bursty(50, 3, 2, 8, 4000), 4000)
    assert counts.mean() == pytest.approx(50, rel=0.03)
    assert counts.var() > 3 * counts.mean()


def test_steps_have_their_rates() -> None:
    counts = per_second(stepped([(500, 10), (500, 0), (500, 40)]), 1500)
    assert counts[:500].mean() == pytest.approx(10, rel=0.05)
    assert counts[500:1000].sum() == 0
    assert counts[1000:].mean() == pytest.approx(40, rel=0.05)


@pytest.mark.parametrize("arrivals", [poisson(20, 30), bursty(20, 3, 2, 8, 30)])
def test_moments_ascend_and_are_alike_for_the_same_seed(arrivals: Arrivals) -> None:
    moments = list(arrivals(random.Random(3)))
    assert moments == sorted(moments)
    assert moments == list(arrivals(random.Random(3)))
    assert moments != list(arrivals(random.Random(4)))
