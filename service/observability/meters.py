"""One model version's cells: what it counted and how long its requests took. Base units.

Everything is written by the event loop's thread, so no lock is needed.

Cells can be dumped as JSON and added to others': that is how several front ends answer with one sum.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any

from service.observability.engine_meters import EngineMeters
from service.observability.exemplars import Exemplars
from service.observability.histogram import Histogram
from service.observability.trace_context import Trace
from service.observability.written import WrittenMeters

if TYPE_CHECKING:
    from service.workers.base import LoadReport

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

PHASES = ("request", "queue", "compute_input", "compute_infer", "compute_output")

_REFUSALS = (429, 503)

Dump = dict[str, Any]
"""Cells in JSON's types."""


@dataclass(slots=True)
class BatchTimes:
    """All runs of one size: how many, and the seconds of their phases, each run counted once."""

    count: int = 0
    input_s: float = 0.0
    infer_s: float = 0.0
    output_s: float = 0.0


@dataclass(frozen=True)
class SessionInfo:
    """What runs a version and where: what was asked for and what the runtime opened."""

    requested_provider: str
    active_provider: str
    threads: int
    runtime: str = "onnxruntime"
    precision: str = "fp32"

    @classmethod
    def of(cls, report: "LoadReport") -> "SessionInfo":
        """In the settings' words, so that the two providers can be compared."""
        active = report.provider.removesuffix("ExecutionProvider").lower()
        choice = report.choice
        return cls(choice.provider, active, report.threads, choice.runtime, choice.precision)


_SUMS = ("inference_count", "execution_count", "fail_count", "fail_s", "latency_target_missed")
_REASONS = (
    "failures", "rejected", "dropped", "load_failures", "batches_bounded", "batch_limit_changes",
)  # fmt: skip


class ModelMeters:
    """One model version's cells, bound once when it is loaded."""

    def __init__(self, name: str, version: int) -> None:
        self.labels = (name, str(version))
        self.phases = {phase: Histogram() for phase in PHASES}
        self.exemplars = Exemplars()
        self.batch_size = Histogram(SIZES)
        self.batches: dict[int, BatchTimes] = {}
        self.inference_count = 0
        self.execution_count = 0
        self.last_inference_ms = 0
        self.fail_count = 0
        self.fail_s = 0.0
        self.written = WrittenMeters()
        self.engine = EngineMeters()
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.failures: defaultdict[str, int] = defaultdict(int)
        self.rejected: defaultdict[str, int] = defaultdict(int)
        self.dropped: defaultdict[str, int] = defaultdict(int)
        self.load_failures: defaultdict[str, int] = defaultdict(int)
        self.batches_bounded: defaultdict[str, int] = defaultdict(int)
        self.batch_limit_changes: defaultdict[str, int] = defaultdict(int)
        self.latency_target_s = 0.0
        self.latency_target_missed = 0
        self.batch_size_limit: Callable[[], int] = lambda: 0
        self.in_flight = 0
        self.load_s = 0.0
        self.loaded_at_s = 0.0
        self.session: SessionInfo | None = None
        self.pending: Callable[[], int] = lambda: 0
        self.is_ready: Callable[[], bool] = lambda: False

    def answered(
        self, endpoint: str, code: int, seconds: float, reason: str = "", trace: Trace | None = None
    ) -> None:
        """An inference request has its answer, whatever it is; `reason` when it is not a good one."""
        self.requests[endpoint, code] += 1
        self.phases["request"].observe(seconds)
        if trace is not None and trace.is_sampled:
            self.exemplars.observed(seconds, trace.trace_id, time.time())
        if code >= 400:
            self.fail_count += 1
            self.fail_s += seconds
            if reason:
                self.failures[reason] += 1
                if code in _REFUSALS:
                    self.rejected[reason] += 1

    @property
    def success_count(self) -> int:
        """Good answers. Derived, so that a good answer costs no more than the histogram."""
        return self.phases["request"].count - self.fail_count

    @property
    def success_s(self) -> float:
        return self.phases["request"].total - self.fail_s

    def ran(
        self, rows: int, waits_s: Sequence[float], input_s: float, infer_s: float, output_s: float
    ) -> None:
        """A batch of `rows` items has run. `waits_s`: how long each of its requests had waited.

        Histograms count requests, as Triton's do; `batches` counts runs.
        """
        phases, requests = self.phases, len(waits_s)
        phases["compute_input"].observe(input_s, requests)
        phases["compute_infer"].observe(infer_s, requests)
        phases["compute_output"].observe(output_s, requests)
        self.batch_size.observe(rows)
        queue = phases["queue"].observe
        for wait_s in waits_s:
            queue(wait_s)
        times = self.batches.get(rows)
        if times is None:
            times = self.batches[rows] = BatchTimes()
        times.count += 1
        times.input_s += input_s
        times.infer_s += infer_s
        times.output_s += output_s
        self.execution_count += 1
        self.inference_count += rows
        self.last_inference_ms = int(time.time() * 1e3)

    def histograms(self) -> dict[str, Histogram]:
        """Name of the family without prefix → its cell."""
        return {
            **{f"{phase}_seconds": cell for phase, cell in self.phases.items()},
            "batch_size": self.batch_size,
            **self.written.histograms(),
        }

    def dump(self) -> Dump:
        return {
            "histograms": {name: cell.dump() for name, cell in self.histograms().items()},
            "batches": {str(rows): astuple(times) for rows, times in self.batches.items()},
            "sums": [getattr(self, name) for name in _SUMS],
            "reasons": [dict(getattr(self, name)) for name in _REASONS],
            "requests": dump_pairs(self.requests),
            "exemplars": self.exemplars.dump(),
            "written": self.written.dump(),
            "engine": self.engine.dump(),
            "last_inference_ms": self.last_inference_ms,
            "in_flight": self.in_flight,
            "pending": self.pending(),
            "batching": self._batching(),
            "is_ready": bool(self.is_ready()),
            "load_s": self.load_s,
            "loaded_at_s": self.loaded_at_s,
            "session": None if self.session is None else asdict(self.session),
        }

    def add(self, dump: Dump) -> None:
        """What another front end counted, too; its gauges are not touched."""
        for name, cell in self.histograms().items():
            cell.add(dump["histograms"][name])
        for rows, values in dump["batches"].items():
            times = self.batches.setdefault(int(rows), BatchTimes())
            times.count += values[0]
            times.input_s += values[1]
            times.infer_s += values[2]
            times.output_s += values[3]
        for name, value in zip(_SUMS, dump["sums"], strict=True):
            setattr(self, name, getattr(self, name) + value)
        for name, reasons in zip(_REASONS, dump["reasons"], strict=True):
            for reason, count in reasons.items():
                getattr(self, name)[reason] += count
        add_pairs(self.requests, dump["requests"])
        self.exemplars.add(dump["exemplars"])
        self.written.add(dump["written"])
        self.engine.add(dump["engine"])
        self.last_inference_ms = max(self.last_inference_ms, dump["last_inference_ms"])

    def show(self, dumps: Sequence[Dump]) -> None:
        """Gauges of the living front ends: sums, but ready only where every one of them is."""
        self.in_flight = sum(dump["in_flight"] for dump in dumps)
        self.engine.show([dump["engine"] for dump in dumps])
        self.written.streams_open = sum(dump["written"]["streams_open"] for dump in dumps)
        waiting = sum(dump["pending"] for dump in dumps)
        self._show_batching([dump["batching"] for dump in dumps])
        is_ready = all(dump["is_ready"] for dump in dumps)
        self.pending = lambda: waiting
        self.is_ready = lambda: is_ready
        self.load_s = max((dump["load_s"] for dump in dumps), default=0.0)
        self.loaded_at_s = max((dump["loaded_at_s"] for dump in dumps), default=0.0)
        sessions = [dump["session"] for dump in dumps if dump["session"] is not None]
        self.session = SessionInfo(**sessions[0]) if sessions else None

    def _batching(self) -> Dump:
        return {
            "target_s": self.latency_target_s,
            "size_limit": self.batch_size_limit(),
        }

    def _show_batching(self, dumps: Sequence[Dump]) -> None:
        """The tightest limit of all front ends."""
        self.latency_target_s = max((dump["target_s"] for dump in dumps), default=0.0)
        limit = min((dump["size_limit"] for dump in dumps if dump["size_limit"]), default=0)
        self.batch_size_limit = lambda: limit


class SilentMeters(ModelMeters):
    """Measures nothing: for comparing what measuring costs."""

    def answered(
        self, endpoint: str, code: int, seconds: float, reason: str = "", trace: Trace | None = None
    ) -> None:
        pass

    def ran(
        self, rows: int, waits_s: Sequence[float], input_s: float, infer_s: float, output_s: float
    ) -> None:
        pass


def dump_pairs(counts: Mapping[tuple[str, int], int]) -> dict[str, int]:
    """(endpoint, code) → count, with keys that JSON takes. No endpoint holds a space."""
    return {f"{endpoint} {code}": count for (endpoint, code), count in counts.items()}


def add_pairs(counts: defaultdict[tuple[str, int], int], dumped: Mapping[str, int]) -> None:
    for key, count in dumped.items():
        endpoint, _, code = key.rpartition(" ")
        counts[endpoint, int(code)] += count
