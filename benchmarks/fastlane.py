"""How fast is the V2 fast lane? `python -m benchmarks.fastlane [--seconds 3] [--json FILE]`

An MLP 128→256→256→10 asked over HTTP with V2 JSON, beside a bare ASGI "hello" on the same server software:
the ratio says what Slipway adds, whatever the machine. Both are measured in turn, several rounds, and the
medians are reported. CPU time per request is reported too, because it does not depend on what else
the machine is doing. Needs `wrk` and the packages of `.[train]`.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psutil

from benchmarks.graphs.mlp import WIDTH, publish_mlp

CONNECTIONS = (1, 16, 64)
_ROOT = Path(__file__).parents[1]
_REQUESTS = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_P50 = re.compile(r"50%\s+([\d.]+)(us|ms|s)")
_P99 = re.compile(r"99%\s+([\d.]+)(us|ms|s)")
_UNITS_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}

HELLO = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})
"""


@dataclass(frozen=True)
class Sample:
    """One run of wrk. CPU microseconds per request: the front end's, and all its workers'."""

    rate: float
    p50_ms: float
    p99_ms: float
    front_us: float
    workers_us: float


@dataclass(frozen=True)
class Target:
    name: str
    url: str
    process: psutil.Process
    script: Path | None = None


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="runs per point (default: 3)")
    parser.add_argument("--workers", default="0", help="as in `slipway serve` (default: 0)")
    parser.add_argument("--isolation", default="process", help="as in `slipway serve`")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args(given)
    if shutil.which("wrk") is None:
        print("error: this benchmark needs wrk: apt-get install wrk", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        results = _measure(arguments, Path(folder))
    print(_table(results))
    if arguments.json:
        report = {"machine": _machine(), "results": _plain(results)}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


Results = dict[tuple[str, int], list[Sample]]


def _measure(arguments: argparse.Namespace, folder: Path) -> Results:
    publish_mlp(folder / "repository", folder / "staged")
    (folder / "hello.py").write_text(HELLO)
    script = folder / "infer.lua"
    script.write_text(_lua())
    results: Results = {}
    with _hello(folder) as hello, _slipway(arguments, folder, script) as slipway:
        for _ in range(arguments.rounds):
            for connections in CONNECTIONS:
                for target in (hello, slipway):  # in turn, so that both see the same neighbours
                    sample = _run(target, connections, arguments.seconds)
                    results.setdefault((target.name, connections), []).append(sample)
    return results


def _run(target: Target, connections: int, seconds: int) -> Sample:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-s", str(target.script)] if target.script else []
    before = _cpu_s(target.process)
    text = subprocess.run(
        [*command, target.url], capture_output=True, text=True, check=True, timeout=seconds + 30
    ).stdout
    after = _cpu_s(target.process)
    if "Non-2xx" in text:
        raise RuntimeError(f"{target.name} refused requests:\n{text}")
    count = int(_number(_REQUESTS, text))
    return Sample(
        rate=_number(_RATE, text),
        p50_ms=_milliseconds(_P50, text),
        p99_ms=_milliseconds(_P99, text),
        front_us=(after[0] - before[0]) / count * 1e6,
        workers_us=(after[1] - before[1]) / count * 1e6,
    )


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    assert found is not None, text
    return float(found.group(1))


def _milliseconds(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    assert found is not None, text
    return float(found.group(1)) * _UNITS_MS[found.group(2)]


def _cpu_s(process: psutil.Process) -> tuple[float, float]:
    def of(one: psutil.Process) -> float:
        times = one.cpu_times()
        return times.user + times.system

    return of(process), sum(map(of, process.children()))


@contextmanager
def _hello(folder: Path) -> Iterator[Target]:
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "hello:app",
        "--port",
        str(port),
        "--loop",
        "uvloop",
    ]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "error"]
    with _started(command, folder) as process:
        url = f"http://127.0.0.1:{port}/"
        _wait_for(url)
        yield Target("bare ASGI hello", url, process)


@contextmanager
def _slipway(arguments: argparse.Namespace, folder: Path, script: Path) -> Iterator[Target]:
    port = _free_port()
    command = [sys.executable, "-m", "slipway", "serve", "--port", str(port)]
    command += ["--repository", str(folder / "repository")]
    command += ["--workers", arguments.workers, "--isolation", arguments.isolation]
    with _started(command, _ROOT) as process:
        base = f"http://127.0.0.1:{port}"
        _wait_for(f"{base}/v2/health/ready")
        yield Target("slipway V2 JSON", f"{base}/v2/models/mlp/infer", process, script)


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[psutil.Process]:
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, stdout=quiet, stderr=quiet) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    limit = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 -- our own loopback address
                return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _lua() -> str:
    values = ",".join(f"{(index * 37 % 200 - 100) / 100:.6f}" for index in range(WIDTH))
    tensor = f'{{"name":"x","shape":[1,{WIDTH}],"datatype":"FP32","data":[{values}]}}'
    return (
        'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
        f"wrk.body = '{{\"inputs\":[{tensor}]}}'\n"
    )


def _table(results: Results) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in _machine().items())
    lines = [
        machine,
        "",
        "TARGET           CONN  REQ/S  OF HELLO  P50 ms  P99 ms  FRONT µs  WORKERS µs",
    ]
    for (name, connections), samples in sorted(results.items(), key=lambda pair: pair[0][1]):
        middle = _medians(samples)
        share = middle["rate"] / _medians(results["bare ASGI hello", connections])["rate"]
        lines.append(
            f"{name:15}  {connections:4}  {middle['rate']:5.0f}  {share:8.2f}  {middle['p50_ms']:6.2f}"
            f"  {middle['p99_ms']:6.2f}  {middle['front_us']:8.1f}  {middle['workers_us']:10.1f}"
        )
    return "\n".join(lines)


def _medians(samples: list[Sample]) -> Mapping[str, float]:
    return {key: median(asdict(sample)[key] for sample in samples) for key in asdict(samples[0])}


def _plain(results: Results) -> list[dict[str, object]]:
    return [
        {"target": name, "connections": connections, "samples": [asdict(s) for s in samples]}
        for (name, connections), samples in results.items()
    ]


def _machine() -> dict[str, str]:
    return {
        "cores": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("uvicorn", "uvloop", "onnxruntime", "numpy", "orjson")},
    }


if __name__ == "__main__":
    sys.exit(main())
