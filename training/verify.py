"""Stage 4, verify: the exported graph must answer as torch does, at several sizes.

Known trap: the exporter can fix a dynamic axis to the example's size, so every export is run at three
batch sizes and, where there are sequences, three lengths. Both sides compute in fp32 on the CPU.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.manifest import Gate
from training.errors import GateFailed
from training.report import Reporter, figure
from training.work import Arrays, ExportPlan, Predict, Work


@dataclass(frozen=True)
class Comparison:
    """One size. `difference` is infinite where shapes differ or a value is not finite on one side."""

    batch: int
    length: int | None
    difference: float
    magnitude: float
    problem: str = ""


def verify(
    work: Work[Any],
    plan: ExportPlan,
    torch_side: Predict,
    onnx_side: Predict,
    report: Reporter,
) -> Gate:
    """Compare at every size, print the table. Raises GateFailed beyond `gates.parity_atol`."""
    limit = work.config.gates.parity_atol
    return verify_plan(plan, work.sample_inputs, limit, (torch_side, onnx_side), report)


def verify_more(
    work: Work[Any], torch_side: Predict, onnx_side: Predict, report: Reporter
) -> tuple[Gate, ...]:
    """What this kind of work asks beyond equal outputs. Raises GateFailed."""
    gates = work.verify_more(torch_side, onnx_side)
    for gate in gates:
        report.line(f"{gate.name}: {figure(gate.measured)} ({gate.detail})")
        if not gate.passed:
            raise GateFailed(
                f"{gate.name}: {figure(gate.measured)}, which must be {gate.comparison} "
                f"{figure(gate.limit)} ({gate.detail}); nothing was published"
            )
    return gates


def verify_plan(
    plan: ExportPlan,
    sample_inputs: Callable[[int, int | None], Arrays],
    limit: float,
    sides: tuple[Predict, Predict],
    report: Reporter,
    setting: str = "gates.parity_atol",
) -> Gate:
    """As `verify`, for graphs that no run made. `sides` are torch and ONNX Runtime; `setting` is how the
    person can change `limit`."""
    comparisons = [
        compare(sample_inputs(batch, length), *sides, (batch, length))
        for batch, length in sizes(plan)
    ]
    report.table(
        ("batch", "length", "max |difference|", "max |value|", "limit", "verdict"),
        (
            (
                str(row.batch),
                "–" if row.length is None else str(row.length),
                f"{row.difference:.2e}",
                figure(row.magnitude),
                f"{limit:g}",
                "passed" if row.difference <= limit else f"FAILED {row.problem}".rstrip(),
            )
            for row in comparisons
        ),
    )
    worst = max(row.difference for row in comparisons)
    if not worst <= limit:
        raise GateFailed(
            f"parity: torch and ONNX Runtime differ by {worst:.2e}, more than {limit:g} "
            f"({setting}); nothing was published"
        )
    return Gate(
        name="parity",
        limit=limit,
        measured=worst,
        comparison="<=",
        passed=True,
        detail=f"torch and ONNX Runtime at {len(comparisons)} sizes",
    )


def sizes(plan: ExportPlan) -> Iterator[tuple[int, int | None]]:
    """Every batch size with every length."""
    for batch in plan.batch_sizes:
        for length in plan.lengths or (None,):
            yield batch, length


def compare(
    inputs: Arrays, torch_side: Predict, onnx_side: Predict, size: tuple[int, int | None]
) -> Comparison:
    """Ask both the same. A side that fails on this size is a difference, not a crash."""
    batch, length = size
    expected = torch_side(inputs)
    try:
        given = onnx_side(inputs)
    except Exception as error:  # ONNX Runtime's errors share no base; the table tells the person
        reason = str(error).strip().splitlines()[0]
        return Comparison(batch, length, math.inf, math.nan, f"({reason})")
    difference, magnitude = 0.0, 0.0
    for name, reference in expected.items():
        if given[name].shape != reference.shape:
            shapes = f"({name} has shape {given[name].shape} instead of {reference.shape})"
            return Comparison(batch, length, math.inf, math.nan, shapes)
        if reference.size:
            gap = np.abs(given[name].astype(np.float64) - reference.astype(np.float64))
            difference = max(difference, float(np.nan_to_num(gap, nan=math.inf).max()))
            magnitude = max(magnitude, float(np.abs(reference).max()))
    return Comparison(batch, length, difference, magnitude)
