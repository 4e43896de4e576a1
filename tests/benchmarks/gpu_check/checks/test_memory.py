"""Memory must be taken and given back, by the driver's figures."""

from dataclasses import replace

import pytest

from benchmarks.gpu_check.checks import memory
from benchmarks.gpu_check.workplace import Workplace
from benchmarks.graphs.mlp import publish_mlp


@pytest.mark.parametrize(
    ("during", "after", "verdict"),
    [(900, 420, "passed"), (900, 400, "passed"), (900, 700, "failed"), (400, 400, "failed")],
    ids=["rounding", "all", "kept", "nothing was taken"],
)
def test_memory_must_be_taken_and_given_back(during: int, after: int, verdict: str) -> None:
    result = memory.judge("session", 400 << 20, during << 20, after << 20)
    assert result.verdict == verdict
    assert "400 MiB before" in result.detail


@pytest.mark.slow
def test_the_session_check_closes_what_it_opens(workplace: Workplace) -> None:
    """On the CPU: the driver's figures are ours, the sessions are real."""
    figures = iter([10 << 20, 500 << 20, 12 << 20])
    counted = replace(workplace, used_bytes=lambda _: next(figures))
    memory.publish_resnet(workplace.folder / "repository", workplace.folder / "s", 50, 32)
    publish_mlp(workplace.folder / "repository", workplace.folder / "m")
    result = memory.closed(counted)
    assert (result.verdict, result.figure) == ("passed", 2.0)
