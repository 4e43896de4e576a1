"""Replays must agree and pay; judged with sessions and a clock that are none."""

from typing import Any

import numpy as np
import pytest

from benchmarks.gpu_check.checks import graphs
from benchmarks.gpu_check.result import Result
from models.runtimes.base import SessionInfo

CUDA = "CUDAExecutionProvider"


class Half:
    """A session that answers after `ms`, `off` by a little, and says what it has captured."""

    def __init__(self, clock: "Ticks", ms: float, off: float, says: str) -> None:
        self.clock, self.ms, self.off, self.says = clock, ms, off, says
        self.is_closed = False

    def describe(self) -> SessionInfo:
        return SessionInfo("onnxruntime", CUDA, 1, {"cuda_graphs": self.says})

    def run(self, inputs: Any) -> dict[str, np.ndarray]:
        self.clock.now += self.ms / 1e3
        return {"y": 2 * inputs["x"] + self.off}

    def close(self) -> None:
        self.is_closed = True


class Ticks:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def compared(captured_ms: float, off: float = 0.0, says: str = "batches of 1, 8") -> list[Result]:
    clock = Ticks()
    made = {False: Half(clock, 4.0, 0.0, ""), True: Half(clock, captured_ms, off, says)}
    opened: Any = made.__getitem__
    found = list(graphs.compared("deep", opened, clock, runs=5))
    assert says != "batches of 1, 8" or all(session.is_closed for session in made.values())
    return found


def test_replays_must_agree_and_pay() -> None:
    good = compared(1.0)
    assert [result.verdict for result in good] == ["passed"] * 6
    assert good[1].figure == pytest.approx(4.0)
    assert [result.verdict for result in compared(8.0)] == ["passed", "failed"] * 3
    assert [result.verdict for result in compared(1.0, off=0.1)] == ["failed", "passed"] * 3


def test_a_session_that_captures_nothing_is_not_compared() -> None:
    [result] = compared(1.0, says="none can be captured")
    assert result.verdict == "not run"
