"""docs/scaling.md says what the committed files say, and those come from the committed code."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml  # type: ignore[import-untyped]

from benchmarks.harness.options import ROOT
from benchmarks.scaling.__main__ import MEASURED, PAGE, SIMULATED
from benchmarks.scaling.curve import LEVELS, Measured, rounded
from benchmarks.scaling.experiments import Simulated, cold_starts, fleet, saturation, validation
from benchmarks.scaling.page import blocks, filled, marks, number, percent


@pytest.fixture(scope="module")
def measured() -> Measured:
    return Measured.read(MEASURED)


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return Simulated.read(SIMULATED)


def test_the_page_has_the_figures_of_the_committed_files(
    measured: Measured, simulated: Simulated
) -> None:
    assert PAGE.read_text() == filled(PAGE.read_text(), measured, simulated), (
        "run python -m benchmarks.scaling page"
    )


def test_every_table_is_on_the_page_once(measured: Measured, simulated: Simulated) -> None:
    assert sorted(marks(PAGE.read_text())) == sorted(blocks(measured, simulated))


def test_every_table_says_where_its_figures_are_from(
    measured: Measured, simulated: Simulated
) -> None:
    for name, text in blocks(measured, simulated).items():
        for before, _ in re.findall(r"(.*)\n\n(\|.*)\n\|---", text()):
            assert re.match(r"\*(measured|simulated)", before), name


def test_the_simulation_ran_on_the_committed_measurement(
    measured: Measured, simulated: Simulated
) -> None:
    assert simulated.measured_on == measured.machine["date"]


def test_saturation_is_what_the_code_computes(measured: Measured, simulated: Simulated) -> None:
    profile = measured.pods[0].profile
    assert rounded(saturation(profile)) == simulated.capacity[profile.name]


@pytest.mark.slow
def test_rows_are_what_the_code_computes(measured: Measured, simulated: Simulated) -> None:
    pod, capacity = measured.pods[0], simulated.capacity
    first = list(validation(replace(pod, held=pod.held[:1])))
    assert [rounded(row) for row in first] == simulated.tables["validation"][: len(first)]
    small = fleet(pod.profile, capacity[pod.profile.name], 10.0, 1, simulated.assumed)
    assert rounded(small) == simulated.tables["scale"][0]
    late = next(cold_starts(pod.profile, capacity, simulated.assumed))
    assert rounded(late) == simulated.tables["cold"][0]


def test_throughput_of_held_out_loads_is_foretold(simulated: Simulated) -> None:
    """Within a tenth, as the page says, saturation included."""
    rows = [row for row in simulated.tables["validation"] if row["figure"] == "goodput"]
    assert [row["share"] for row in rows] == [0.5, 0.8, 1.5] * 2
    assert max(abs(row["error"]) for row in rows) < 0.1


def test_the_charts_target_keeps_the_objective(simulated: Simulated) -> None:
    values = yaml.safe_load((ROOT / "helm" / "slipway" / "values.yaml").read_text())
    target = values["autoscaling"]["targetInFlightPerPod"]
    rows = [row for row in simulated.tables["target"] if row["target"] == target]
    assert len(rows) == 3
    assert max(row["refused_share"] for row in rows) <= simulated.assumed.refused_share
    assert max(row["p99_ms"] for row in rows) <= simulated.assumed.objective_s * 1e3


def test_the_columns_of_the_curve_are_the_quantiles_they_name(
    measured: Measured, simulated: Simulated
) -> None:
    times = measured.pods[0].profile.curve.run_s[0]
    head, _, row = blocks(measured, simulated)["curve"]().splitlines()[2:5]
    assert head.startswith("| rows | 25 % | median | 75 % | 99 % |")
    shown = [float(cell) for cell in row.split("|")[2:6]]
    at = [float(np.interp(level, LEVELS, times)) * 1e3 for level in (0.25, 0.5, 0.75, 0.99)]
    assert shown == pytest.approx(at, abs=0.006)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00012, "0.00012"), (3.14159, "3.14"), (512.4, "512"), (12345.6, "12,346")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_little_is_not_nothing() -> None:
    assert percent(0.0) == "0.0 %"
    assert percent(0.0001) == "< 0.1 %"
    assert percent(0.123) == "12.3 %"
