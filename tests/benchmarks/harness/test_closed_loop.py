"""Rates of a steady state."""

import pytest

from benchmarks.harness.closed_loop import summary
from benchmarks.harness.failures import MeasurementFailed


def test_the_rate_is_taken_between_answers() -> None:
    answers = [(0.1 * number, 0.05) for number in range(1, 100)]  # ten a second
    result = summary(answers, start=2.05, end=8.05)
    assert result.rate == pytest.approx(10.0)
    assert result.requests == 60
    assert result.p50_ms == pytest.approx(50.0)


def test_filling_and_emptying_do_not_count() -> None:
    slow_start = [(1.0, 1.0)] + [(1.0 + 0.1 * number, 0.1) for number in range(1, 41)]
    assert summary(slow_start, start=1.5, end=4.5).rate == pytest.approx(10.0)


def test_a_single_answer_tells_no_rate() -> None:
    with pytest.raises(MeasurementFailed, match="too few"):
        summary([(1.0, 0.5)], start=0.0, end=2.0)
