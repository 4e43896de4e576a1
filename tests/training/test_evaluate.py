"""The accuracy gate: floor, baselines, and figures where lower is better."""

import pytest

from models.errors import UsageError
from models.manifest import Evaluation
from tests.training.fake_work import silent_reporter
from training.config import GateConfig
from training.errors import GateFailed
from training.evaluate import accuracy_gates, judge


def measured(value: float, *, higher_is_better: bool = True) -> Evaluation:
    return Evaluation(
        dataset="d",
        split="test",
        metric="figure",
        value=value,
        higher_is_better=higher_is_better,
        samples=10,
        baselines={"simple": 0.5},
    )


@pytest.mark.parametrize(
    ("value", "higher", "passed"),
    [(0.5, True, True), (0.49, True, False), (0.5, False, True), (0.51, False, False)],
)
def test_the_floor_includes_itself_and_follows_the_metrics_direction(
    value: float, higher: bool, passed: bool
) -> None:
    (gate,) = accuracy_gates(
        measured(value, higher_is_better=higher), GateConfig(accuracy_floor=0.5)
    )
    assert gate.passed is passed
    assert gate.comparison == (">=" if higher else "<=")


@pytest.mark.parametrize("higher", [True, False])
def test_being_as_good_as_a_baseline_is_not_being_better(higher: bool) -> None:
    (gate,) = accuracy_gates(measured(0.5, higher_is_better=higher), GateConfig(beats=("simple",)))
    assert not gate.passed
    better = 0.51 if higher else 0.49
    (gate,) = accuracy_gates(
        measured(better, higher_is_better=higher), GateConfig(beats=("simple",))
    )
    assert gate.passed


def test_a_failed_gate_prints_the_table_and_then_stops_the_run() -> None:
    report, text = silent_reporter()
    with pytest.raises(GateFailed) as caught:
        judge((measured(0.4),), GateConfig(accuracy_floor=0.9, beats=("simple",)), report)
    assert "accuracy-floor" in caught.value.message
    assert "beats-simple" in caught.value.message
    assert "Nothing was published" in caught.value.message
    assert text.getvalue().count("FAILED") == 2
    assert caught.value.exit_code == 1


def test_an_unknown_baseline_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="has the baselines simple"):
        accuracy_gates(measured(1.0), GateConfig(beats=("majority",)))
