"""The ledger: sums that add up, figures of what arrived after the warm-up alone."""

import pytest

from benchmarks.scaling.ledger import Ledger


def test_what_arrived_is_answered_refused_or_under_way() -> None:
    ledger = Ledger()
    for moment in range(5):
        ledger.arrive(moment)
    ledger.answer(0, 2)
    ledger.refuse(1, 1)
    assert (ledger.arrived, ledger.answered, ledger.refused, ledger.under_way) == (5, 1, 1, 3)


def test_the_warm_up_is_in_no_figure() -> None:
    ledger = Ledger(warm_s=10)
    for moment in (5.0, 15.0):
        ledger.arrive(moment)
        ledger.answer(moment, moment + moment)
    ledger.refuse(9.0, 9.0)
    assert ledger.counted == 1
    assert ledger.counted_refused == 0
    assert ledger.latency_s(0.5) == 15.0
    assert ledger.first_refusal_s is None


def test_recent_waits_are_of_the_last_minute() -> None:
    ledger = Ledger()
    ledger.run(0.0, [9.0] * 10)
    ledger.run(50.0, [0.1] * 20)
    assert ledger.recent_wait_s(55.0, 0.95) == 9.0
    assert ledger.recent_wait_s(100.0, 0.95) == pytest.approx(0.1)
    assert ledger.recent_wait_s(500.0, 0.95) == 0.0
