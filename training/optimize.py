"""Stage 5, optimize: try variants, measure them like the reference, keep those that are worth it.

A variant is kept when its kind of work has no objection to its figures (`gates.accuracy_budget`; for
language models the budgets of `variants`) and it is smaller or faster than the reference. Every candidate
appears in the table with the reason for its fate. The latencies are this machine's: `hardware` says
which one that was.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.golden import Golden
from models.manifest import MODEL_FILE, Evaluation, Variant
from models.sizes import human_bytes
from training.errors import ExportFailed
from training.graph_file import graph_bytes, remove_graph
from training.predict import onnx_predict
from training.quantize import quantize
from training.report import Reporter, figure
from training.work import Arrays, ExportPlan, Predict, Work

_ROUNDS = 15  # medians over so many runs; reference and variant take turns
_FASTER = 0.95  # less gain than this is within the noise of a shared machine
_COMPARED_ITEMS = 32


@dataclass(frozen=True)
class Verdict:
    """A measured candidate: kept when `reason` is empty."""

    variant: Variant
    reason: str


def optimize(
    work: Work[Any],
    plan: ExportPlan,
    staged: Path,
    reference: tuple[Evaluation, ...],
    report: Reporter,
) -> tuple[Variant, ...]:
    """Write the variants worth keeping under `staged`/variants and return their records."""
    candidates = work.quantization_candidates()
    if not candidates:
        report.line("no variants are tried for this kind of model")
        return ()
    graph = staged / MODEL_FILE
    base_ms = _latency(work, plan, (graph,))[0]
    size = human_bytes(graph_bytes(graph))
    rows = [("fp32", size, "–", "–", *_milliseconds(base_ms), "reference")]
    kept = []
    for precision in candidates:
        try:
            verdict = _measure(work, plan, staged, precision, reference)
        except ExportFailed as error:
            rows.append((precision, *["–"] * (3 + len(base_ms)), f"dropped: {error.message}"))
            continue
        rows.append(_row(verdict))
        if verdict.reason:
            remove_graph(staged / str(verdict.variant.file))
        else:
            kept.append(verdict.variant)
            if work.serves_variants:
                _write_exam(work, staged, verdict.variant)
    titles = (f"ms, batch {size}" for size in base_ms)
    delta = f"Δ {reference[0].metric}"
    report.table(("precision", "size", delta, "max |Δ output|", *titles, "verdict"), rows)
    return tuple(kept)


def _measure(
    work: Work[Any],
    plan: ExportPlan,
    staged: Path,
    precision: str,
    reference: tuple[Evaluation, ...],
) -> Verdict:
    """Make and measure one candidate. Raises ExportFailed when it could not even be made."""
    file = f"variants/{precision}.onnx"
    graph, target = staged / MODEL_FILE, staged / file
    quantize(precision, graph, target, work.calibration_inputs())
    ask = work.onnx_predict(target) or onnx_predict(target)
    ask_reference = work.onnx_predict(graph) or onnx_predict(graph)
    base_ms, latency_ms = _latency(work, plan, (graph, target))
    evaluation = work.evaluate(ask)
    variant = Variant(
        precision=precision,
        file=file,
        size_bytes=graph_bytes(target),
        accuracy_delta=evaluation[0].value - reference[0].value,
        max_difference=_difference(work, plan, ask_reference, ask),
        latency_ms=latency_ms,
        hardware=hardware(),
    )
    speedup = statistics.geometric_mean(latency_ms[size] / base_ms[size] for size in latency_ms)
    is_useful = variant.size_bytes < graph_bytes(graph) or speedup < _FASTER
    objection = work.variant_objection(precision, reference, evaluation)
    return Verdict(variant, objection or ("" if is_useful else "neither smaller nor faster"))


def _write_exam(work: Work[Any], staged: Path, variant: Variant) -> None:
    """Questions and what this variant answers: the reference's answers are not its own."""
    graph = staged / str(variant.file)
    ask = work.onnx_predict(graph) or onnx_predict(graph)
    Golden(*work.golden(ask)).save(staged / str(variant.golden_file))


def _latency(work: Work[Any], plan: ExportPlan, graphs: Sequence[Path]) -> list[dict[int, float]]:
    """Median milliseconds per batch size for each of `graphs`, which take turns on the same inputs."""
    tables: list[dict[int, float]] = [{} for _ in graphs]
    for size in work.timed_batches:
        runs = [_timed_run(work, plan, graph, size) for graph in graphs]
        times_ms: list[list[float]] = [[] for _ in runs]
        for round_index in range(_ROUNDS + 2):
            for run, measured in zip(runs, times_ms, strict=True):
                began_ns = time.perf_counter_ns()
                run()
                if round_index >= 2:  # the first runs allocate memory
                    measured.append((time.perf_counter_ns() - began_ns) / 1e6)
        for table, measured in zip(tables, times_ms, strict=True):
            table[size] = round(statistics.median(measured), 4)
    return tables


def _timed_run(work: Work[Any], plan: ExportPlan, graph: Path, batch: int) -> Callable[[], object]:
    if (run := work.timed_run(graph, batch)) is not None:
        return run
    ask = work.onnx_predict(graph) or onnx_predict(graph)
    inputs = work.sample_inputs(batch, max(plan.lengths) if plan.lengths else None)
    return lambda: ask(inputs)


def _difference(work: Work[Any], plan: ExportPlan, left: Predict, right: Predict) -> float:
    length = max(plan.lengths) if plan.lengths else None
    inputs: Arrays = work.sample_inputs(_COMPARED_ITEMS, length)
    expected, given = left(inputs), right(inputs)
    return max(float(np.abs(given[name] - expected[name]).max()) for name in expected)


def _row(verdict: Verdict) -> tuple[str, ...]:
    variant = verdict.variant
    return (
        variant.precision,
        human_bytes(variant.size_bytes),
        f"{variant.accuracy_delta:+.4f}",
        figure(variant.max_difference),
        *_milliseconds(variant.latency_ms),
        f"dropped: {verdict.reason}" if verdict.reason else "kept",
    )


def _milliseconds(latency_ms: dict[int, float]) -> list[str]:
    return [f"{ms:.2f}" for ms in latency_ms.values()]


def hardware() -> str:
    """The processor's own name and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass  # not Linux, or a processor without a name: the architecture stands in
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
