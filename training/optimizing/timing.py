"""Milliseconds and items per second: the reference and a variant take turns on the same inputs.

Latency is a run that has every core to itself; throughput is what comes out when as many runs are under way
as keep every core at work, a session each, as a server's workers do.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from training.optimizing.sessions import cores, opened
from training.optimizing.subject import Subject
from training.optimizing.targets import Target
from training.work import Arrays, Predict

_ROUNDS = 15
_LEAST_ROUNDS = 3
_WARM_ROUNDS = 2  # the first runs allocate memory
_MOST_SESSIONS = 8  # beyond so many cores each session gets several


@dataclass(frozen=True)
class Patience:
    """Seconds for the turns at one batch size, and for every core at work on one."""

    turns_s: float
    burst_s: float


@dataclass
class Speed:
    """Batch size → median milliseconds, items per second, and the least milliseconds, which other work on the
    machine disturbs least: what is faster is decided by these."""

    latency_ms: dict[int, float] = field(default_factory=dict)
    throughput: dict[int, float] = field(default_factory=dict)
    least_ms: dict[int, float] = field(default_factory=dict)


def measure(
    subject: Subject,
    targets: Sequence[Target],
    patience: Patience,
    batches: tuple[int, ...] | None = None,
) -> list[Speed]:
    """Each of `targets`, whose files exist. `batches`: None, the subject's. Raises BundleError, RunError."""
    batches = batches or subject.timed_batches
    speeds = [Speed() for _ in targets]
    with ExitStack() as stack:
        asks = [stack.enter_context(opened(subject, target)).predict for target in targets]
        for batch in batches:
            runs = [
                _timed_run(subject, target, ask, batch)
                for target, ask in zip(targets, asks, strict=True)
            ]
            for speed, times_ms in zip(speeds, _take_turns(runs, patience.turns_s), strict=True):
                speed.latency_ms[batch] = round(statistics.median(times_ms), 4)
                speed.least_ms[batch] = min(times_ms)
    for target, speed in zip(targets, speeds, strict=True):
        speed.throughput = _throughput(subject, target, batches, patience.burst_s)
    return speeds


def _timed_run(subject: Subject, target: Target, ask: Predict, batch: int) -> Callable[[], object]:
    graph = subject.folder / target.file if target.file else subject.graph
    if (run := subject.timed_run(graph, batch)) is not None:
        return run
    inputs = subject.sample(batch)
    return lambda: ask(inputs)


def _take_turns(runs: Sequence[Callable[[], object]], most_s: float) -> list[list[float]]:
    times_ms: list[list[float]] = [[] for _ in runs]
    deadline_s = time.perf_counter() + most_s
    for round_index in range(_WARM_ROUNDS + _ROUNDS):
        if time.perf_counter() > deadline_s and len(times_ms[0]) >= _LEAST_ROUNDS:
            break
        for run, measured in zip(runs, times_ms, strict=True):
            began_ns = time.perf_counter_ns()
            run()
            if round_index >= _WARM_ROUNDS:
                measured.append((time.perf_counter_ns() - began_ns) / 1e6)
    return times_ms


def _throughput(
    subject: Subject, target: Target, batches: Sequence[int], burst_s: float
) -> dict[int, float]:
    """{} for graphs with state, whose speed is their engine's."""
    if subject.own_predict(subject.graph) is not None:
        return {}
    sessions = min(cores(), _MOST_SESSIONS)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(sessions))
        asks = [
            stack.enter_context(opened(subject, target, cores() // sessions)).predict
            for _ in range(sessions)
        ]
        return {
            batch: _items_per_s(pool, asks, subject.sample(batch), batch, burst_s)
            for batch in batches
        }


def _items_per_s(
    pool: ThreadPoolExecutor, asks: Sequence[Predict], inputs: Arrays, batch: int, burst_s: float
) -> float:
    runs_per_s = pool.map(lambda ask: _runs_per_s(ask, inputs, burst_s), asks)
    return round(batch * sum(runs_per_s), 1)


def _runs_per_s(ask: Predict, inputs: Arrays, burst_s: float) -> float:
    ask(inputs)  # memory for this shape
    began_s, runs = time.perf_counter(), 0
    while (elapsed_s := time.perf_counter() - began_s) < burst_s or runs == 0:
        ask(inputs)
        runs += 1
    return runs / elapsed_s
