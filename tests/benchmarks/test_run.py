"""The whole benchmark with tiny durations: every scenario runs, and every promised row is in the report.

Figures are not looked at: nothing can be measured in a fraction of a second on a shared machine.
"""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.harness.failures import NotAvailable
from benchmarks.harness.options import Options
from benchmarks.harness.progress import Progress
from benchmarks.harness.rows import Promise, Rows
from benchmarks.harness.scenario import Bench, Scenario
from benchmarks.harness.wrk import wrk_version
from benchmarks.run import run
from benchmarks.scenarios import SCENARIOS, optimization

# A sentence encoder or another runtime to compare with: `make bench` installs them, `make install` does not.
_NOT_INSTALLED = ("not available: the package", "is not installed")


def _report(scenarios: list[Scenario], results: Path, **options: float) -> dict[str, object]:
    chosen = Options(seconds=0.1, rounds=1, decoder="tiny", results=results, **options)  # type: ignore[arg-type]
    with Progress(len(scenarios), Console(file=io.StringIO())) as progress:
        run(chosen, scenarios, progress)
    found: dict[str, object] = json.loads((results / "report.json").read_text())
    return found


def _rows(report: dict[str, object]) -> dict[str, dict[str, object]]:
    chapters = report["chapters"]
    assert isinstance(chapters, list)
    return {row["key"]: row for chapter in chapters for row in chapter["rows"]}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario is not optimization.SCENARIO],
    ids=lambda scenario: scenario.name,
)
def test_every_promised_row_has_a_figure(scenario: Scenario, tmp_path: Path) -> None:
    if scenario.needs_wrk and wrk_version() is None:
        pytest.skip("wrk is not installed")
    rows = _rows(_report([scenario], tmp_path))
    assert list(rows) == [promise.key for promise in scenario.promises]
    missing = {key: row["verdict"] for key, row in rows.items() if not row["samples"]}
    absent = {
        key: why for key, why in missing.items() if any(part in str(why) for part in _NOT_INSTALLED)
    }
    assert missing == absent
    assert (tmp_path / "report.md").read_text().count("| not ") == len(absent)
    if len(absent) == len(rows):
        pytest.skip(str(next(iter(absent.values()))))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_speed_ups_are_measured_model_by_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the smallest model: variants of the large ones take tens of minutes to make."""
    if wrk_version() is None:
        pytest.skip("wrk is not installed")
    smallest = [model for model in optimization.MODELS if model.key == "mlp"]
    monkeypatch.setattr(optimization, "MODELS", tuple(smallest))
    rows = _rows(_report([optimization.SCENARIO], tmp_path))
    measured = {key for key, row in rows.items() if row["samples"]}
    assert measured == {key for key in rows if key.startswith("mlp.") or key == "load"}


def _scenario(measure: object) -> Scenario:
    promises = (Promise("a", "first", "×"), Promise("b", "second", "×"))
    return Scenario("made-up", "Made up", promises, measure, needs_wrk=False)  # type: ignore[arg-type]


def test_scenarios_have_names_and_rows_of_their_own() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    for scenario in SCENARIOS:
        keys = [promise.key for promise in scenario.promises]
        assert len(set(keys)) == len(keys) > 0


def test_what_is_not_there_is_a_row_with_its_reason(tmp_path: Path) -> None:
    def measure(bench: Bench, rows: Rows) -> None:
        rows.record("a", [1.0])
        raise NotAvailable("no such feature")

    rows = _rows(_report([_scenario(measure)], tmp_path))
    assert rows["a"]["samples"] == [1.0]
    assert rows["b"]["verdict"] == "not available: no such feature"


def test_a_broken_scenario_costs_the_others_nothing(tmp_path: Path) -> None:
    def broken(bench: Bench, rows: Rows) -> None:
        raise ZeroDivisionError("oh")

    def sound(bench: Bench, rows: Rows) -> None:
        rows.record("a", [1.0])
        rows.record("b", [2.0])

    report = _report([_scenario(broken), _scenario(sound)], tmp_path)
    chapters = report["chapters"]
    assert isinstance(chapters, list)
    first, second = (chapter["rows"] for chapter in chapters)
    assert [row["verdict"] for row in first] == ["not available: ZeroDivisionError: oh"] * 2
    assert [row["samples"] for row in second] == [[1.0], [2.0]]


def test_an_interruption_keeps_the_figures_and_names_the_rest(tmp_path: Path) -> None:
    def interrupted(bench: Bench, rows: Rows) -> None:
        rows.record("a", [1.0])
        raise KeyboardInterrupt

    def never(bench: Bench, rows: Rows) -> None:
        raise AssertionError("the run was over")

    report = _report([_scenario(interrupted), _scenario(never)], tmp_path)
    chapters = report["chapters"]
    assert isinstance(chapters, list)
    first, second = (chapter["rows"] for chapter in chapters)
    assert first[0]["samples"] == [1.0]
    assert {row["verdict"] for row in (first[1], *second)} == {"not measured: interrupted"}
    assert "not complete: interrupted" in (tmp_path / "report.md").read_text()


def test_after_the_time_limit_nothing_begins(tmp_path: Path) -> None:
    def never(bench: Bench, rows: Rows) -> None:
        raise AssertionError("the time was up")

    rows = _rows(_report([_scenario(never)], tmp_path, limit_s=0.0))
    assert "time limit" in str(rows["a"]["verdict"])
