"""Servers under measurement: started as their users start them, watched from outside, ended for sure."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from benchmarks.harness.failures import MeasurementFailed

_END_S = 10.0
_LOOK_S = 0.005


@dataclass(frozen=True)
class CpuTimes:
    """Processor seconds so far: of the process that was started, and of all its descendants."""

    main_s: float
    others_s: float


@dataclass(frozen=True)
class Server:
    """One that answers. `ready_s`: from its start to its first good answer to `ready_path`."""

    port: int
    process: psutil.Process
    ready_s: float
    errors: IO[bytes]

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def cpu(self) -> CpuTimes:
        return CpuTimes(_cpu_s(self.process), sum(map(_cpu_s, self._others())))

    def resident_bytes(self) -> int:
        """Of the process that was started alone."""
        return int(self.process.memory_info().rss)

    def log_lines(self) -> list[str]:
        """What it has written to stderr so far."""
        return _text(self.errors).splitlines()

    def _others(self) -> list[psutil.Process]:
        return self.process.children(recursive=True)


@contextmanager
def started(
    command: Sequence[str],
    *,
    port: int,
    ready_path: str,
    cwd: Path,
    limit_s: float = 120.0,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run `command` until it answers 200, then until the block ends. What it prints to stdout goes to
    `log` or nowhere. Raises MeasurementFailed with its own last words when it does not come up.

    In a session of its own: Ctrl-C in the terminal reaches the benchmark alone, which ends the server.
    """
    given = {**os.environ, **(environment or {})}
    with (
        tempfile.TemporaryFile() as errors,
        open(log or os.devnull, "wb") as output,
        subprocess.Popen(
            command, cwd=cwd, stdout=output, stderr=errors, env=given, start_new_session=True
        ) as process,
    ):
        try:
            began = time.perf_counter()
            while not _answers(port, ready_path):
                if process.poll() is not None or time.perf_counter() - began > limit_s:
                    raise MeasurementFailed(f"the server did not start: {_last_words(errors)}")
                time.sleep(_LOOK_S)
            yield Server(port, psutil.Process(process.pid), time.perf_counter() - began, errors)
        finally:
            _end(process)


AS_EXPORTED = {"SLIPWAY_SELECTION": "false"}
"""For comparisons with ONNX Runtime's own loop: no other runtime is chosen."""


@contextmanager
def slipway(
    checkout: Path,
    repository: Path,
    *flags: str,
    log: Path | None = None,
    limit_s: float = 120.0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """`slipway serve` of that checkout, with every default but these flags, and settings of the environment,
    which older checkouts may not know."""
    port = free_port()
    command = [sys.executable, "-m", "slipway", "serve", "--port", str(port)]
    command += ["--repository", str(repository), *flags]
    with started(
        command,
        port=port,
        ready_path="/v2/health/ready",
        cwd=checkout,
        limit_s=limit_s,
        log=log,
        environment={"PYTHONPATH": str(checkout), **(environment or {})},
    ) as server:
        yield server


@contextmanager
def uvicorn(
    module: Path, *flags: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """The `app` of a file under uvicorn."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"{module.stem}:app", "--port", str(port), *flags]
    with started(
        command, port=port, ready_path="/", cwd=module.parent, environment=environment
    ) as server:
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def get(port: int, path: str, timeout_s: float = 30.0) -> tuple[int, bytes]:
    """One GET over a connection of its own."""
    return request(port, "GET", path, timeout_s=timeout_s)


def request(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30.0,
) -> tuple[int, bytes]:
    """Status and body. Raises OSError or http.client.HTTPException when nobody answers."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    ) as line:
        line.request(method, path, body, dict(headers or {}))
        answer = line.getresponse()
        return answer.status, answer.read()


def _answers(port: int, path: str) -> bool:
    try:
        return get(port, path, timeout_s=5)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _last_words(errors: IO[bytes]) -> str:
    lines = _text(errors).strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _text(errors: IO[bytes]) -> str:
    """Read without moving the place at which the child, which shares it, goes on writing."""
    size = os.fstat(errors.fileno()).st_size
    return os.pread(errors.fileno(), size, 0).decode(errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Politely, then not; with everything it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        process.kill()
        for child in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
