import math

import pytest

from models.errors import UsageError
from service.tuning.objective import Objective, Slo
from tests.service.tuning.settings import load, outcome, setting

ANY = Objective()
WITHIN_50 = Objective(Slo("p99_ms", 50.0))


@pytest.mark.parametrize(
    ("typed", "percentile", "limit_ms"),
    [("p99_ms=50", "p99_ms", 50.0), ("p50_ms=0.5", "p50_ms", 0.5), ("p95_ms=1e3", "p95_ms", 1e3)],
)
def test_a_limit_is_a_percentile_and_milliseconds(
    typed: str, percentile: str, limit_ms: float
) -> None:
    assert Slo.parse(typed) == Slo(percentile, limit_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "typed",
    ["", "50", "p99=50", "p90_ms=4", "p99_ms", "p99_ms=", "p99_ms=fast", "p99_ms=50,p50_ms=5"],
)
def test_another_text_is_refused_with_what_was_expected(typed: str) -> None:
    with pytest.raises(UsageError, match=r"such as p99_ms=50; percentiles: p50_ms, p95_ms, p99_ms"):
        Slo.parse(typed)


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "inf"])
def test_a_limit_is_a_positive_time(limit: str) -> None:
    with pytest.raises(UsageError, match="write a percentile and milliseconds"):
        Slo.parse(f"p99_ms={limit}")


def test_without_a_limit_the_most_answers_win() -> None:
    slow, fast = outcome(setting(), load(10, 1)), outcome(setting(), load(20, 900))
    assert ANY.score(fast) > ANY.score(slow)
    assert ANY.gain(fast, slow) == 2


def test_with_a_limit_the_most_answers_within_it_win() -> None:
    within = outcome(setting(), load(10, 49, callers=1), load(500, 51, callers=32))
    beyond = outcome(setting(), load(900, 51))
    assert WITHIN_50.is_reached(within)
    assert not WITHIN_50.is_reached(beyond)
    assert WITHIN_50.best_load(within) == within.loads[0]
    assert WITHIN_50.score(within) > WITHIN_50.score(beyond)
    assert WITHIN_50.gain(within, beyond) == math.inf
    assert WITHIN_50.gain(beyond, within) == 0


def test_where_nothing_keeps_the_limit_the_nearest_is_best() -> None:
    near, far = outcome(setting(), load(10, 60), load(90, 800)), outcome(setting(), load(90, 70))
    assert WITHIN_50.score(near) > WITHIN_50.score(far)
    assert WITHIN_50.best_load(near) == near.loads[0]
    assert WITHIN_50.gain(near, far) == pytest.approx(70 / 60)


def test_a_load_with_refusals_keeps_no_limit_however_quick_its_answers() -> None:
    refusing, slower = outcome(setting(), load(900, 1, errors=0.2)), outcome(setting(), load(5, 40))
    assert not WITHIN_50.is_reached(refusing)
    assert WITHIN_50.score(slower) > WITHIN_50.score(refusing)
    assert ANY.score(slower) > ANY.score(refusing)


def test_what_failed_or_never_answered_is_last() -> None:
    failed = outcome(setting(), failure="it crashed")
    silent = outcome(setting(), load(0, None, errors=1.0))
    slow = outcome(setting(), load(1, 3000))
    assert WITHIN_50.best_load(failed) is None
    for bad in (failed, silent):
        assert WITHIN_50.score(slow) > WITHIN_50.score(bad)
        assert not ANY.is_reached(bad)
