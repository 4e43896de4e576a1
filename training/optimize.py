"""Stage 5, optimize: try variants, measure them like the reference, keep those that are worth it.

A variant is kept when it loses no more of the main metric than `gates.accuracy_budget` and is smaller
or faster than the reference. Every candidate appears in the table with the reason for its fate. The
latencies are this machine's: `hardware` says which one that was.
"""

import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.manifest import MODEL_FILE, Evaluation, Variant
from models.sizes import human_bytes
from training.errors import ExportFailed
from training.predict import onnx_predict
from training.quantize import quantize
from training.report import Reporter, figure
from training.work import Arrays, ExportPlan, Predict, Work

_BATCH_SIZES = (1, 8, 32)
_ROUNDS = 15  # medians over so many runs; reference and variant take turns
_FASTER = 0.95  # less gain than this is within the noise of a shared machine
_COMPARED_ITEMS = 32


@dataclass(frozen=True)
class Verdict:
    """A measured candidate: kept when `reason` is empty."""

    variant: Variant
    reason: str


def optimize(
    work: Work[Any], plan: ExportPlan, staged: Path, reference: Evaluation, report: Reporter
) -> tuple[Variant, ...]:
    """Write the variants worth keeping under `staged`/variants and return their records."""
    candidates = work.quantization_candidates()
    if not candidates:
        report.line("no variants are tried for this kind of model")
        return ()
    graph = staged / MODEL_FILE
    ask = work.onnx_predict(graph) or onnx_predict(graph)
    base_ms = _latency(work, plan, (ask,))[0]
    size = human_bytes(graph.stat().st_size)
    rows = [("fp32", size, "–", "–", *_milliseconds(base_ms), "reference")]
    kept = []
    for precision in candidates:
        try:
            verdict = _measure(work, plan, staged, precision, reference)
        except ExportFailed as error:
            rows.append((precision, *["–"] * (3 + len(_BATCH_SIZES)), f"dropped: {error.message}"))
            continue
        rows.append(_row(verdict))
        if verdict.reason:
            (staged / str(verdict.variant.file)).unlink()
        else:
            kept.append(verdict.variant)
    titles = (f"ms, batch {size}" for size in _BATCH_SIZES)
    delta = f"Δ {reference.metric}"
    report.table(("precision", "size", delta, "max |Δ output|", *titles, "verdict"), rows)
    return tuple(kept)


def _measure(
    work: Work[Any], plan: ExportPlan, staged: Path, precision: str, reference: Evaluation
) -> Verdict:
    """Make and measure one candidate. Raises ExportFailed when it could not even be made."""
    file = f"variants/{precision}.onnx"
    graph, target = staged / MODEL_FILE, staged / file
    quantize(precision, graph, target, work.calibration_inputs())
    ask = work.onnx_predict(target) or onnx_predict(target)
    ask_reference = work.onnx_predict(graph) or onnx_predict(graph)
    base_ms, latency_ms = _latency(work, plan, (ask_reference, ask))
    variant = Variant(
        precision=precision,
        file=file,
        size_bytes=target.stat().st_size,
        accuracy_delta=work.evaluate(ask)[0].value - reference.value,
        max_difference=_difference(work, plan, ask_reference, ask),
        latency_ms=latency_ms,
        hardware=hardware(),
    )
    speedup = statistics.geometric_mean(latency_ms[size] / base_ms[size] for size in latency_ms)
    is_useful = variant.size_bytes < graph.stat().st_size or speedup < _FASTER
    return Verdict(
        variant, _reason(variant, reference, work.config.gates.accuracy_budget, is_useful)
    )


def _reason(variant: Variant, reference: Evaluation, budget: float, is_useful: bool) -> str:
    delta = variant.accuracy_delta
    lost = -delta if reference.higher_is_better else delta
    if lost > budget:
        return f"loses {lost:.4f} of {reference.metric}, more than {budget:g}"
    return "" if is_useful else "neither smaller nor faster"


def _latency(
    work: Work[Any], plan: ExportPlan, asks: tuple[Predict, ...]
) -> list[dict[int, float]]:
    """Median milliseconds per batch size for each of `asks`, which take turns on the same inputs."""
    tables: list[dict[int, float]] = [{} for _ in asks]
    length = max(plan.lengths) if plan.lengths else None
    for size in _BATCH_SIZES:
        inputs = work.sample_inputs(size, length)
        times_ms: list[list[float]] = [[] for _ in asks]
        for round_index in range(_ROUNDS + 2):
            for ask, measured in zip(asks, times_ms, strict=True):
                began_ns = time.perf_counter_ns()
                ask(inputs)
                if round_index >= 2:  # the first runs allocate memory
                    measured.append((time.perf_counter_ns() - began_ns) / 1e6)
        for table, measured in zip(tables, times_ms, strict=True):
            table[size] = round(statistics.median(measured), 4)
    return tables


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
    return [f"{latency_ms[size]:.2f}" for size in _BATCH_SIZES]


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
