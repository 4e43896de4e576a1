"""The rate is what the model does when it has its hands full; Retry-After is computed from it."""

import pytest

from service.batching.drain import DrainRate


def test_nothing_measured_means_no_wait() -> None:
    drain = DrainRate()
    assert not drain.is_measured
    assert drain.wait_s(100) == 0.0


def test_the_wait_is_rows_over_rate() -> None:
    drain = DrainRate()
    for second in range(10):
        drain.taken(50, float(second), is_saturated=True)
    assert drain.wait_s(100) == pytest.approx(2.0)  # rows over rows per second


def test_batches_that_run_at_once_count_together() -> None:
    drain = DrainRate()
    for round_ in range(20):  # two instances, each a second for ten rows
        drain.taken(10, round_ * 1.0, is_saturated=round_ > 0)
        drain.taken(10, round_ * 1.0, is_saturated=True)
    assert drain.wait_s(20) == pytest.approx(1.0, rel=0.1)


def test_of_a_quiet_server_the_best_is_supposed() -> None:
    drain = DrainRate(most_rows=32)
    for second in range(10):
        drain.taken(1, float(second), is_saturated=False)
        drain.ran(0.5)
    assert drain.wait_s(64) == pytest.approx(1.0), "two runs of 32, not 64 of one"
    for _ in range(100):
        drain.record(1, 0.5)
    assert drain.wait_s(64) == pytest.approx(32.0, rel=0.05), "until it was seen at work"


def test_time_in_which_nothing_waited_does_not_count() -> None:
    drain = DrainRate(most_rows=10)
    drain.ran(1.0)
    drain.taken(10, 0.0, is_saturated=True)
    drain.taken(10, 1.0, is_saturated=True)
    drain.emptied()  # those who waited have left
    drain.taken(10, 500.0, is_saturated=True)
    drain.taken(10, 501.0, is_saturated=True)
    assert drain.wait_s(10) == pytest.approx(1.0)


def test_what_changed_is_learned_in_a_few_seconds() -> None:
    drain = DrainRate()
    for tick in range(100):
        drain.record(10, 0.1 if tick < 50 else 0.3)
    assert drain.wait_s(10) == pytest.approx(0.3, rel=0.05)


def test_a_pause_of_the_whole_process_is_soon_forgotten() -> None:
    drain = DrainRate()
    for _ in range(50):
        drain.record(10, 0.1)
    drain.record(10, 3600.0)
    assert drain.wait_s(10) < 0.2


@pytest.mark.parametrize(("rows", "low", "high"), [(1, 1.0, 3.0), (10_000, 30.0, 37.5)])
def test_retry_after_is_bounded_and_spread(rows: int, low: float, high: float) -> None:
    drain = DrainRate()
    drain.record(10, 1.0)
    hints = [drain.retry_after_s(rows) for _ in range(200)]
    assert all(low <= hint <= high for hint in hints)
    assert max(hints) - min(hints) > (high - low) / 2
