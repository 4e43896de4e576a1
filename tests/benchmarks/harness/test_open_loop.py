"""Random arrivals, latency from the intended moment, and every request accounted for."""

import itertools

import pytest

from benchmarks.harness.line import Answer
from benchmarks.harness.open_loop import Arrival, arrivals, summary


def test_arrivals_are_random_but_the_same_for_a_seed() -> None:
    moments = arrivals(rate=500, seconds=20, seed=1)
    assert moments == arrivals(rate=500, seconds=20, seed=1)
    assert moments != arrivals(rate=500, seconds=20, seed=2)
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance**0.5 == pytest.approx(mean, rel=0.05)  # exponential gaps


def test_latency_counts_from_the_intended_moment() -> None:
    late = Arrival(intended=1.0, sent=1.4, finished=1.5, answer=Answer(200))
    result = summary([late], start=0.5, seconds=1.0)
    assert result.p99_ms == pytest.approx(500)
    assert result.late_p99_ms == pytest.approx(400)


def test_every_arrival_is_good_refused_lost_or_something_else() -> None:
    found = [
        Arrival(1.0, 1.0, 1.1, Answer(200)),
        Arrival(1.1, 1.1, 1.2, Answer(503, retry_after_s=2)),
        Arrival(1.2, 1.2, 1.3, Answer(429)),
        Arrival(1.3, 1.3, 1.4, Answer(504)),
        Arrival(1.4, 1.4),
        Arrival(1.5, 1.5, 1.6, Answer(0)),
    ]
    result = summary(found, start=0.0, seconds=2.0)
    assert (result.sent, result.goodput, result.refused, result.lost) == (6, 0.5, 2, 2)
    assert result.other == {504: 1}
    assert (result.refused_without_retry_after, result.retry_after_s) == (1, 2)
    assert result.refused_share == pytest.approx(2 / 6)


def test_what_arrives_in_the_warm_up_is_not_counted() -> None:
    found = [Arrival(0.2, 0.2, 0.3, Answer(503)), Arrival(1.2, 1.2, 1.3, Answer(200))]
    result = summary(found, start=1.0, seconds=1.0)
    assert (result.sent, result.refused, result.goodput) == (1, 0, 1.0)
