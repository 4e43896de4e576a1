"""The bare loop as seen from a scenario: the child process that runs it, and the search for its best way."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.messages import Arrays
from benchmarks.harness.options import ROOT


@dataclass(frozen=True)
class Plan:
    """So many sessions of so many threads each, each run with so many items."""

    sessions: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        return (
            f"{self.sessions} × {self.threads} thread{'s' * (self.threads > 1)}, batch {self.batch}"
        )


@dataclass(frozen=True)
class BareResult:
    rate: float  # items per second
    p50_ms: float  # of one run


class BareLoop:
    """Runs one order at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, plan: Plan, seconds: float) -> BareResult:
        """Raises MeasurementFailed with the child's last words."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({**asdict(plan), "seconds": seconds}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise MeasurementFailed("the bare session.run loop ended early")
        return BareResult(**json.loads(line))

    def best(self, plans: Sequence[Plan], seconds: float) -> Plan:
        """The one with the highest rate, each tried once."""
        return max(plans, key=lambda plan: self.run(plan, seconds).rate)


@contextmanager
def bare_loop(model: Path, feeds: Sequence[Arrays], folder: Path) -> Iterator[BareLoop]:
    """`feeds`: inputs of single items. Files are kept in `folder`, which must exist."""
    target = folder / f"{model.parent.parent.name}-feeds.npz"
    named = {f"{i}/{name}": array for i, feed in enumerate(feeds) for name, array in feed.items()}
    np.savez(target, allow_pickle=False, **named)
    command = [sys.executable, "-m", "benchmarks.baselines.bare_loop", str(model), str(target)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield BareLoop(process)
        finally:
            process.kill()


def session_answer(model: Path, inputs: Arrays) -> dict[str, np.ndarray]:
    """What the graph itself says: the truth that servers are checked against."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))
