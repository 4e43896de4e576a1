"""A real server with one worker of one thread → `Measured`: its runs' times by rows, and loads to foretell.

Runs are timed by the server itself (`infer_ms` of its access log) while one caller sends requests of so
many rows. Each is one run, because it asks a second name of the same model whose manifest says that batches
are to be as large as they come. Then requests of one row arrive at random at the first name, at shares of
the capacity: nothing of that goes into the curve. Everything is measured in turn, round after round, so that
what else the machine does falls on both.
"""

import itertools
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.graphs.convolutions import NAME, convolutions_input, publish_convolutions
from benchmarks.graphs.mlp import mlp_input, publish_mlp
from benchmarks.harness.closed_loop import closed_loop
from benchmarks.harness.failures import Interrupted, MeasurementFailed
from benchmarks.harness.machine import look_at_machine
from benchmarks.harness.messages import Message, binary_message
from benchmarks.harness.open_loop import open_loop
from benchmarks.harness.options import ROOT
from benchmarks.harness.processes import Server, get, request, slipway
from benchmarks.harness.progress import Progress
from benchmarks.harness.rounds import Clock, alternate
from benchmarks.scaling.curve import Curve, Held, LoadSample, Measured, Pod, Profile
from models.bundle import open_bundle
from models.manifest import Batching, ManifestDraft
from models.publish import publish

SHARES = (0.5, 0.8, 1.5)
_WARM_S = 0.5
_CALLERS = 16
_FLAGS = ("--workers", "1", "--threads", "1")
_WIDE = (2048, 2048, 2048, 2048, 10)
_LIMIT_S = 600.0


@dataclass(frozen=True)
class Subject:
    """A model to measure. `item`: rows → its input x."""

    model: str
    title: str
    sizes: tuple[int, ...]
    max_batch_size: int
    publish: Callable[[Path, Path], object]
    item: Callable[[int], np.ndarray]

    def request(self, rows: int = 1) -> bytes:
        """One that the batcher may do with what it likes."""
        return self.message(rows).http(self.path)

    def whole_request(self, rows: int) -> bytes:
        """One whose rows stay together."""
        return self.message(rows).http(f"/v2/models/{self.whole}/infer")

    @property
    def path(self) -> str:
        return f"/v2/models/{self.model}/infer"

    @property
    def whole(self) -> str:
        return f"{self.model}-whole"

    def message(self, rows: int) -> Message:
        return binary_message({"x": self.item(rows)}, ["y"])


SUBJECTS = (
    Subject(
        NAME,
        "convolutions of about 5 ms: batches gain nothing",
        (1, 2, 4, 8),
        8,
        lambda repository, staged: publish_convolutions(repository, staged, 5.0),
        lambda rows: np.repeat(convolutions_input(), rows, axis=0),
    ),
    Subject(
        "wide",
        "four layers of 2048 × 2048: reading the weights costs more than a row",
        (1, 2, 4, 8, 16, 32, 64),
        64,
        lambda repository, staged: publish_mlp(repository, staged, ("wide",), _WIDE),
        lambda rows: mlp_input(rows, _WIDE[0]),
    ),
)


@dataclass
class _Seen:
    """What the rounds of one subject brought."""

    infer_s: dict[int, list[float]] = field(default_factory=dict)
    mean_ms: dict[int, list[float]] = field(default_factory=dict)
    frontend_s: list[float] = field(default_factory=list)
    trip_s: dict[int, list[float]] = field(default_factory=dict)
    whole_s: list[float] = field(default_factory=list)
    capacity: list[float] = field(default_factory=list)
    loads: dict[float, list[LoadSample]] = field(default_factory=dict)


def measure(
    seconds: float,
    rounds: int,
    folder: Path,
    progress: Progress,
    subjects: Sequence[Subject] = SUBJECTS,
) -> Measured:
    """Takes about rounds × 15 × (seconds + a half). Raises MeasurementFailed, Interrupted."""
    machine = asdict(look_at_machine(ROOT))
    pods = []
    for subject in subjects:
        progress.scenario(subject.model)
        pods.append(_measure_pod(subject, seconds, rounds, folder / subject.model, progress))
        progress.scenario_done()
    command = shlex.join(["python", "-m", "benchmarks.scaling", *sys.argv[1:]])
    return Measured(machine, command, seconds, rounds, os.getloadavg(), tuple(pods))


def _measure_pod(
    subject: Subject, seconds: float, rounds: int, folder: Path, progress: Progress
) -> Pod:
    folder.mkdir(parents=True)
    repository, log = folder / "repository", folder / "access.log"
    subject.publish(repository, folder / "staged")
    with slipway(ROOT, repository, *_FLAGS, log=log) as server:
        start_s = server.ready_s  # of a pod with this one model
    _publish_whole(subject, repository, folder / "staged")
    seen = _Seen()
    with slipway(ROOT, repository, *_FLAGS, log=log) as server:
        bench = _Pod(server, subject, log, seconds, seen)
        bench.callers()  # before the rounds: what the shares refer to
        things: dict[str, Callable[[], None]] = {
            f"{size} rows": partial(bench.run_time, size) for size in subject.sizes
        }
        things[f"{_CALLERS} callers"] = bench.callers
        for share in SHARES:
            rate = seen.capacity[0] * share
            things[f"{share:g} × capacity"] = partial(bench.load, share, rate)
        clock = Clock(_LIMIT_S)
        found = alternate(things, rounds, clock, progress)
    if found.failures:
        raise MeasurementFailed("; ".join(f"{k}: {v}" for k, v in found.failures.items()))
    if clock.why:
        raise Interrupted(clock.why)
    return _pod(subject, seen, start_s)


def _publish_whole(subject: Subject, repository: Path, staged: Path) -> None:
    """A preferred size, without any delay to wait for it, does nothing but keep rows together."""
    manifest = open_bundle(repository / subject.model / "1").manifest
    known = {name: getattr(manifest, name) for name in ManifestDraft.model_fields}
    most = subject.max_batch_size
    batching = Batching(max_batch_size=most, preferred_batch_size=(most,))
    publish(
        repository, ManifestDraft(**known | {"name": subject.whole, "batching": batching}), staged
    )


def _pod(subject: Subject, seen: _Seen, start_s: float) -> Pod:
    curve = Curve.of(seen.infer_s)
    trips_s = [median(seen.trip_s[size]) for size in curve.rows]
    frontend_s, trip_s = median(seen.frontend_s), trips_s[0]
    further = [size - 1 for size in curve.rows]
    # Least squares through the trip with one row.
    grown = sum(n * (one - trip_s) for n, one in zip(further, trips_s, strict=True))
    taken_s = median(seen.infer_s[1]) + frontend_s + trip_s
    profile = Profile(
        name=subject.model,
        title=subject.title,
        curve=curve,
        max_batch_size=subject.max_batch_size,
        frontend_s=frontend_s,
        trip_s=trip_s,
        trip_row_s=max(0.0, grown / sum(n * n for n in further)),
        rest_s=max(0.0, median(seen.whole_s) - taken_s),
        start_s=start_s,
    )
    means = tuple(zip(*(seen.mean_ms[size] for size in curve.rows), strict=True))
    held = tuple(Held(share, tuple(found)) for share, found in seen.loads.items())
    return Pod(profile, median(seen.capacity), means, held)


class _Pod:
    """One server under measurement."""

    def __init__(
        self, server: Server, subject: Subject, log: Path, seconds: float, seen: _Seen
    ) -> None:
        self._server, self._subject, self._log = server, subject, log
        self._seconds, self._seen = seconds, seen
        self._numbers = itertools.count()

    def run_time(self, rows: int) -> None:
        """One caller, requests of so many rows: each is a run of its own."""
        before, start = self._counters(), self._mark()
        found = closed_loop(
            self._server.port, [self._subject.whole_request(rows)], 1, self._seconds, _WARM_S
        )
        lines, after = self._lines_since(start), self._counters()
        times = [one["infer_ms"] / 1e3 for one in lines if one.get("batch_size") == rows]
        times = times[len(times) // 10 :]  # the first ones warm the caches
        if not times:
            raise MeasurementFailed("no run in the access log")
        self._seen.infer_s.setdefault(rows, []).extend(times)
        self._seen.mean_ms.setdefault(rows, []).append(sum(times) / len(times) * 1e3)
        requests = after["requests"] - before["requests"]
        carried_s = (after["carried"] - before["carried"]) / requests
        self._seen.trip_s.setdefault(rows, []).append(carried_s)
        if rows == 1:
            self._seen.whole_s.append(found.p50_ms / 1e3)

    def callers(self) -> None:
        """Capacity, and the event loop's time per request when it has much to do: a lone request costs it
        more, since nothing shares a turn with it, but then it has that time."""
        before = self._counters()
        found = closed_loop(
            self._server.port, [self._subject.request()], _CALLERS, self._seconds, _WARM_S
        )
        after = self._counters()
        requests = after["requests"] - before["requests"]
        self._seen.frontend_s.append((after["cpu"] - before["cpu"]) / requests)
        self._seen.capacity.append(found.rate)

    def load(self, share: float, rate: float) -> None:
        """Requests of one row at random moments."""
        before = self._counters()
        seed = next(self._numbers)
        whole_s = 2 * self._seconds
        found = open_loop(self._server.port, self._subject.request(), rate, whole_s, _WARM_S, seed)
        if found.lost or found.other:
            raise MeasurementFailed(f"{found.lost} lost, others {found.other}")
        after = self._counters()
        runs = after["runs"] - before["runs"]
        sample = LoadSample(
            rate=found.sent / whole_s,
            goodput=found.goodput,
            p50_ms=found.p50_ms,
            p99_ms=found.p99_ms,
            refused_share=found.refused_share,
            rows_per_run=(after["rows"] - before["rows"]) / runs if runs else 0.0,
            late_p99_ms=found.late_p99_ms,
        )
        self._seen.loads.setdefault(share, []).append(sample)

    def _counters(self) -> Mapping[str, float]:
        status, text = get(self._server.port, "/metrics")
        if status != 200:
            raise MeasurementFailed(f"/metrics answers {status}")
        named = {
            "requests": "slipway_compute_input_seconds_count{",
            "carried": "slipway_compute_input_seconds_sum{",
            "runs": "slipway_executions_total{",
            "rows": "slipway_inferences_total{",
        }
        lines = text.decode().splitlines()
        found = {
            key: sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))
            for key, start in named.items()
        }
        return {**found, "cpu": self._server.cpu().main_s}

    def _mark(self) -> int:
        """Where the access log ends, once everything until now is in it."""
        name = f"mark-{os.getpid()}-{time.monotonic_ns()}"
        message = self._subject.message(1)
        headers = {**message.headers, "x-request-id": name}
        request(self._server.port, "POST", self._subject.path, message.body, headers)
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            content = self._log.read_bytes()
            if name.encode() in content and content.endswith(b"\n"):
                return len(content)
            time.sleep(0.05)
        raise MeasurementFailed("the access log says nothing of a request")

    def _lines_since(self, start: int) -> list[dict[str, float]]:
        end = self._mark()
        return [json.loads(line) for line in self._log.read_bytes()[start:end].splitlines()][:-1]
