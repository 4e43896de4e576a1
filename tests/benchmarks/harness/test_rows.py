"""Every promised row ends with a figure and a verdict, or with a reason."""

import math

import pytest

from benchmarks.harness.rows import Promise, Row, Rows

FLOOR = Promise("floor", "share", "×", at_least=0.5)
CEILING = Promise("ceiling", "memory", "MB", at_most=130)
PLAIN = Promise("plain", "rate", "requests/s")


def test_the_median_is_judged() -> None:
    row = Row(FLOOR, (0.1, 0.5, 0.9))
    assert (row.value, row.is_met, row.verdict) == (0.5, True, "met")


def test_a_miss_says_by_how_much_of_the_target() -> None:
    assert Row(FLOOR, (0.4,)).verdict == "missed by 20.0%"
    assert Row(CEILING, (143.0,)).verdict == "missed by 10.0%"
    assert Row(CEILING, (130.0,)).verdict == "met"


def test_none_at_all_is_a_limit_like_any_other() -> None:
    promise = Promise("lost", "lost requests", "requests", at_most=0)
    assert Row(promise, (0.0,)).is_met
    assert Row(promise, (2.0,)).verdict == "missed"


def test_a_figure_that_is_none_is_no_success() -> None:
    assert Row(CEILING, (math.nan,)).is_met is False


def test_without_a_target_there_is_no_verdict() -> None:
    assert (Row(PLAIN, (3.0,)).is_met, Row(PLAIN, (3.0,)).verdict) == (None, "")


def test_every_promise_is_kept_in_order_with_figure_or_reason() -> None:
    rows = Rows([FLOOR, CEILING, PLAIN])
    rows.record("ceiling", [90.0], "a note")
    rows.record("plain", [])
    rows.give_up("not available: no server", "floor")
    rows.give_up("interrupted")
    found = [(row.promise.key, row.value, row.why_not) for row in rows.finished()]
    assert found == [
        ("floor", None, "not available: no server"),
        ("ceiling", 90.0, ""),
        ("plain", None, "interrupted"),
    ]


def test_a_row_is_filled_once_and_only_if_it_was_promised() -> None:
    rows = Rows([PLAIN])
    rows.record("plain", [1.0])
    with pytest.raises(ValueError, match="already"):
        rows.record("plain", [2.0])
    with pytest.raises(KeyError):
        rows.record("other", [2.0])
