"""Captured CUDA graphs: the same answers, and what replaying saves where kernels are many and small."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

import numpy as np

from benchmarks.gpu_check.repository import bundles_of
from benchmarks.gpu_check.result import Result, at_least, at_most, not_run
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.mlp import publish_mlp
from models.bundle import Bundle
from models.runtimes import open_session
from models.runtimes.base import Session, SessionOptions
from models.runtimes.gpu import GpuOptions
from models.runtimes.graph import Graph, Sizes

_LAYERS, _WIDTH = 64, 256
_SIZES = (1, 8, 32)
_RUNS = 200
_AGREEMENT = 1e-4  # capture may take another algorithm for a product
_LEAST_GAIN = 1.0

Open = Callable[[bool], Session]


def run(workplace: Workplace) -> Iterator[Result]:
    folder = workplace.folder
    publish_mlp(folder / "repository", folder / "staged", sizes=[_WIDTH] * (_LAYERS + 1))
    [bundle] = bundles_of(folder / "repository")
    for provider in workplace.providers:
        options = SessionOptions(provider=provider, gpu=GpuOptions(device_id=workplace.device))
        yield from compared(f"{_LAYERS} layers on {provider}", opener(bundle, options))


def opener(bundle: Bundle, options: SessionOptions) -> Open:
    graph = replace(Graph.of(bundle), sizes=Sizes(max(_SIZES), _SIZES))

    def opened(captures: bool) -> Session:
        gpu = replace(options.gpu, cuda_graphs=captures)
        return open_session("onnxruntime", graph, replace(options, gpu=gpu))

    return opened


def compared(
    what: str, opened: Open, clock: Callable[[], float] = time.perf_counter, runs: int = _RUNS
) -> Iterator[Result]:
    """Both kinds of session on the same inputs, in turn."""
    plain, captured = opened(False), opened(True)
    says = captured.describe().details.get("cuda_graphs", "nothing")
    if not says.startswith("batches of"):
        yield not_run(what, f"the session says: {says}")
        return
    for size in _SIZES:
        name = f"{what}, batch {size}"
        inputs = [_inputs(size, seed) for seed in range(3)]
        worst = max(
            float(np.abs(plain.run(one)["y"] - captured.run(one)["y"]).max()) for one in inputs
        )
        yield at_most(f"{name}: difference", worst, _AGREEMENT)
        times = _times_ms((plain, captured), inputs[0], clock, runs)
        gain = times[0] / times[1]
        detail = f"{times[0]:.3f} ms and {times[1]:.3f} ms"
        yield at_least(f"{name}: plain ÷ replayed", gain, _LEAST_GAIN, "×", detail)
    plain.close()
    captured.close()


def _times_ms(
    sessions: tuple[Session, Session],
    inputs: dict[str, np.ndarray],
    clock: Callable[[], float],
    runs: int,
) -> list[float]:
    """Medians, each session's runs in turn with the other's."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for session, times in zip(sessions, took, strict=True):
            began = clock()
            session.run(inputs)
            times.append((clock() - began) * 1e3)
    return [median(times) for times in took]


def _inputs(rows: int, seed: int) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(seed).standard_normal((rows, _WIDTH))
    return {"x": drawn.astype(np.float32)}
