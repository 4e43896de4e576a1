"""The checks by name, in the order in which they run: what matters most comes first, since time may end.

A check is `module:function`, imported when it runs: each does in a process of its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.gpu_check.result import Result
from benchmarks.gpu_check.workplace import Workplace

CheckFunction = Callable[[Workplace], Iterable[Result]]


@dataclass(frozen=True)
class Check:
    """`limit_s`: its share of the ten minutes; ended then, with what it has found."""

    name: str
    title: str
    function: str
    limit_s: float

    def load(self) -> CheckFunction:
        module, _, name = self.function.partition(":")
        found: CheckFunction = getattr(import_module(f"{__name__}.{module}"), name)
        return found


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check("parity", "Golden exams of every bundle on the GPU", "parity:run", 120),
        Check("throughput", "Throughput over HTTP beside the bare loop", "throughput:run", 130),
        Check("graphs", "Captured CUDA graphs", "graphs:run", 30),
        Check("exhaustion", "Out of memory", "exhaustion:run", 60),
        Check("memory", "Memory after unload", "memory:run", 40),
        Check("mixed", "One server, models on CPU and GPU", "mixed:run", 40),
        Check("generation", "Text generation", "generation:run", 60),
        Check("precision", "Variants in 16 bits within the accuracy budget", "precision:run", 60),
    )
}
