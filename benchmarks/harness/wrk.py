"""The load generator wrk: one run, bounded, and what it printed as figures.

One thread: it is faster than any server here, and leaves the cores to those. A run shorter than wrk's
own smallest step of a second is ended with an interrupt, after which wrk reports as usual.
"""

import contextlib
import math
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.failures import MeasurementFailed

_COUNT = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_ERRORS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}
_TIMEOUT_S = 30


@dataclass(frozen=True)
class WrkResult:
    requests: int
    rate: float  # requests per second
    p50_ms: float
    p99_ms: float


def wrk_version() -> str | None:
    """None: there is no wrk."""
    if shutil.which("wrk") is None:
        return None
    text = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return text.split()[1] if len(text.split()) > 1 else "unknown"


def run_wrk(url: str, script: Path | None, connections: int, seconds: float) -> WrkResult:
    """Raises MeasurementFailed when an answer was not 2xx or a connection broke."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, math.ceil(seconds))}s", "--latency"]
    command += [f"--timeout={_TIMEOUT_S}s", *(["-s", str(script)] if script else []), url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds if seconds % 1 else seconds + _TIMEOUT_S)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=_TIMEOUT_S)
        finally:
            process.kill()
    if process.returncode:
        raise MeasurementFailed(f"wrk ended with {process.returncode}: {errors.strip()[:200]}")
    return parse(output)


def parse(text: str) -> WrkResult:
    """Figures from wrk's report. Raises MeasurementFailed when they would not be worth reporting."""
    refused, errors = _REFUSED.search(text), _ERRORS.search(text)
    if refused:
        raise MeasurementFailed(f"{refused[1]} answers were not 2xx")
    if errors and any(int(count) for count in errors.groups()):
        raise MeasurementFailed(errors[0].lower())
    count, rate = _COUNT.search(text), _RATE.search(text)
    found = {
        share: float(value) * _UNITS_MS[unit] for share, value, unit in _PERCENTILE.findall(text)
    }
    if count is None or rate is None or int(count[1]) == 0 or not {"50", "99"} <= set(found):
        raise MeasurementFailed("wrk saw no answer")
    return WrkResult(int(count[1]), float(rate[1]), found["50"], found["99"])
