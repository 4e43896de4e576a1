from service.tuning.outcome import Outcome
from tests.service.tuning.settings import load, outcome, setting


def test_rounds_become_medians_and_the_worst_of_errors_and_memory() -> None:
    rounds = [
        outcome(setting(), load(10, 5, memory=7), seconds=2),
        outcome(setting(), load(30, 9, errors=0.1, memory=5), seconds=2),
        outcome(setting(), load(11, 6, memory=6), seconds=2),
    ]
    merged = Outcome.merged(rounds)
    assert merged.seconds == 6
    [only] = merged.loads
    assert (only.requests_per_s, only.p99_ms, only.error_share) == (11, 6, 0.1)
    assert only.memory_bytes == 7


def test_a_failure_in_one_round_is_the_whole_ones() -> None:
    merged = Outcome.merged([outcome(setting(), load(10)), outcome(setting(), failure="crashed")])
    assert merged.failure == "crashed"


def test_a_round_in_which_nobody_was_answered_has_no_percentile() -> None:
    silent = outcome(setting(), load(0, None, errors=1.0))
    assert Outcome.merged([silent, silent]).loads[0].p99_ms is None
    assert Outcome.merged([silent, outcome(setting(), load(4, 8))]).loads[0].p99_ms == 8
