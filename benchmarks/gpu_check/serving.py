"""Servers that compute on the GPU, and load enough for one: several processes of connections."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.gpu_check.workplace import Workplace
from benchmarks.harness.closed_loop import ClosedLoopResult, closed_loop
from benchmarks.harness.processes import Server, slipway

_START_S = 90.0


@contextmanager
def gpu_server(workplace: Workplace, repository: Path, *flags: str) -> Iterator[Server]:
    """`slipway serve` on the workplace's device and first provider, and on no other runtime."""
    wanted = ["--provider", workplace.providers[0], "--runtime", "onnxruntime"]
    if workplace.providers[0] != "cpu":
        wanted += ["--gpu-device-id", str(workplace.device)]
    with slipway(workplace.checkout, repository, *wanted, *flags, limit_s=_START_S) as server:
        yield server


@dataclass(frozen=True)
class Callers:
    """`processes`, each with so many connections."""

    processes: int
    connections: int

    @property
    def total(self) -> int:
        return self.processes * self.connections


def rate_of(
    server: Server, requests: Sequence[bytes], callers: Callers, seconds: float, warm_s: float
) -> float:
    """Answers per second of all together. Raises MeasurementFailed when one is not 200."""
    with ProcessPoolExecutor(callers.processes, get_context("spawn")) as pool:
        running = [
            pool.submit(_load, server.port, list(requests), callers.connections, seconds, warm_s)
            for _ in range(callers.processes)
        ]
        return sum(one.result().rate for one in running)


def _load(
    port: int, requests: list[bytes], connections: int, seconds: float, warm_s: float
) -> ClosedLoopResult:
    return closed_loop(port, requests, connections, seconds, warm_s)
