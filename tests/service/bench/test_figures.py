"""Figures by hand: windows, percentiles, coordinated omission."""

import math

import pytest

from service.bench.exchange import Exchange
from service.bench.figures import Spread, figures, percentile
from service.bench.loops import Measured


def _exchange(
    intended: float, tokens: list[float], *, ended: float = 0.0, error: str = "", output: int = 0
) -> Exchange:
    return Exchange(
        intended,
        intended + 0.01,
        ended,
        200,
        error,
        tokens,
        prompt_tokens=10,
        output_tokens=output or len(tokens),
    )


def test_rates_count_what_happened_in_the_window_whoever_it_belongs_to() -> None:
    early = _exchange(0.0, [0.5, 1.5, 2.5], ended=2.5)  # began before the window
    late = _exchange(2.0, [2.9, 3.5], ended=0.0)  # is under way when it ends
    found = figures(Measured(1.0, 3.0, [early, late]), is_open=False)
    assert (found.requests, found.requests_per_s, found.asked) == (1, 0.5, 1)
    assert found.output_tokens_per_s == pytest.approx(3 / 2)
    assert found.prompt_tokens_per_s == pytest.approx(5.0)
    assert found.time_to_first_token.p50_ms == pytest.approx(900)
    assert found.between_tokens.p50_ms == pytest.approx(1000)
    assert found.whole_answer.p50_ms == pytest.approx(2500)
    assert found.errors == {}


def test_events_that_bring_several_tokens_count_as_many() -> None:
    found = figures(
        Measured(0.0, 1.0, [_exchange(0.0, [0.2, 0.4], ended=0.5, output=8)]), is_open=False
    )
    assert found.output_tokens_per_s == pytest.approx(8.0)


def test_an_open_loop_counts_who_arrived_and_waits_from_the_intended_moment() -> None:
    slow = Exchange(0.5, sent_s=5.0, ended_s=9.0, status=200, token_s=[8.0])
    lost = Exchange(0.6, sent_s=0.6)
    before = Exchange(-1.0, sent_s=-1.0, ended_s=0.2, status=200, token_s=[0.1])
    found = figures(Measured(0.0, 1.0, [slow, lost, before]), is_open=True)
    assert found.whole_answer.p99_ms == pytest.approx(8500)
    assert found.time_to_first_token.p50_ms == pytest.approx(7500)
    assert found.late.p99_ms == pytest.approx(4500)
    assert (found.asked, found.requests) == (2, 1)
    assert found.errors == {"unfinished": 1}


def test_errors_are_counted_by_code_most_frequent_first() -> None:
    wrong = [_exchange(0.1, [], ended=0.2, error=e) for e in ("503 a", "429 b", "429 b")]
    found = figures(Measured(0.0, 1.0, wrong), is_open=False)
    assert list(found.errors.items()) == [("429 b", 2), ("503 a", 1)]
    assert found.requests == 0
    assert math.isnan(found.whole_answer.p50_ms)


def test_percentiles_are_values_that_occurred() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([3.0], 0.01) == 3.0
    assert math.isnan(percentile([], 0.5))
    assert Spread.of([0.002, 0.001]) == Spread(1.0, 2.0, 2.0)
