"""Medians, percentiles and pairs."""

import math

from benchmarks.harness.spread import divided, percentile, subtracted


def test_a_percentile_is_a_value_that_was_seen() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7.0], 0.99) == 7.0


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(percentile([], 0.99))


def test_rounds_are_compared_each_with_its_own() -> None:
    assert divided([1.0, 8.0], [2.0, 4.0]) == [0.5, 2.0]
    assert subtracted([3.0, 5.0], [1.0, 5.0]) == [2.0, 0.0]


def test_a_round_that_was_cut_off_is_left_out() -> None:
    assert divided([1.0, 8.0, 9.0], [2.0, 4.0]) == [0.5, 2.0]
