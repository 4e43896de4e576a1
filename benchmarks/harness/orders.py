"""A baseline in a process of its own that takes orders: a JSON line in, a JSON line with its sample out."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.options import ROOT


class Ordered:
    """Takes one order at a time."""

    def __init__(self, process: "subprocess.Popen[str]", errors: IO[bytes]) -> None:
        self._process, self._errors = process, errors

    def run(self, order: Mapping[str, object]) -> dict[str, Any]:
        """Raises MeasurementFailed with the child's last words."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            words = self._errors.read().decode(errors="replace").strip().splitlines()
            raise MeasurementFailed(words[-1][:300] if words else "the baseline ended early")
        sample: dict[str, Any] = json.loads(line)
        return sample


@contextmanager
def ordered(module: str, *arguments: object) -> Iterator[Ordered]:
    """`python -m module arguments…` until the block ends."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Ordered(process, errors)
        finally:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # an order that nobody took
                process.stdin.close()
