"""Retry-After is computed from what was measured, and stays between one and thirty seconds and a bit."""

import pytest

from service.drain import DrainRate


def test_nothing_measured_means_no_wait() -> None:
    assert DrainRate().wait_s(100) == 0.0


def test_the_wait_is_rows_over_rate() -> None:
    drain = DrainRate()
    for second in range(10):
        drain.record(50, float(second), second + 1.0)
    assert drain.wait_s(100) == pytest.approx(2.0, rel=0.01)


def test_overlapping_batches_share_their_time() -> None:
    drain = DrainRate()
    drain.record(10, 0.0, 1.0)
    drain.record(10, 0.0, 1.0)  # a second worker, the same second
    assert drain.wait_s(20) == pytest.approx(1.0, rel=0.3)


def test_idle_time_does_not_count() -> None:
    drain = DrainRate()
    drain.record(10, 0.0, 1.0)
    drain.record(10, 100.0, 101.0)
    assert drain.wait_s(10) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(("rows", "low", "high"), [(1, 1.0, 1.25), (10_000, 30.0, 37.5)])
def test_retry_after_is_bounded_and_spread(rows: int, low: float, high: float) -> None:
    drain = DrainRate()
    drain.record(10, 0.0, 1.0)
    assert all(low <= drain.retry_after_s(rows) <= high for _ in range(50))
