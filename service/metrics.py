"""Counters and histograms, exported in Prometheus' text form at `/metrics`. Base units, seconds and bytes.

Our own cells instead of the client library's: on the hot path a library histogram costs about a
microsecond per observation (a lock per bucket walk), ours a quarter. Everything is written by the event
loop's thread, so no lock is needed. Labels come from the catalog, never from a request.
"""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from service.workers.base import ModelKey

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

PHASES = ("request", "queue", "compute_input", "compute_infer", "compute_output")


class Histogram:
    """One child. `observe` takes a weight: a batch's phase counts once per item in it."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, weight: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += weight
        self.total += value * weight

    @property
    def count(self) -> int:
        return sum(self.counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: upper bound → observations at or below it."""
        running, buckets = 0, []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(running)))
        return buckets


@dataclass(slots=True)
class BatchTimes:
    """All runs of one size: how many, and the seconds of their phases, each run counted once."""

    count: int = 0
    input_s: float = 0.0
    infer_s: float = 0.0
    output_s: float = 0.0


class ModelMeters:
    """One model version's cells, bound once when it is loaded."""

    def __init__(self, name: str, version: int) -> None:
        self.labels = (name, str(version))
        self.phases = {phase: Histogram() for phase in PHASES}
        self.batch_size = Histogram(SIZES)
        self.batches: dict[int, BatchTimes] = {}
        self.inference_count = 0
        self.execution_count = 0
        self.last_inference_ms = 0
        self.fail_count = 0
        self.fail_s = 0.0
        self.time_to_first_token = Histogram()
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.failures: defaultdict[str, int] = defaultdict(int)
        self.dropped: defaultdict[str, int] = defaultdict(int)
        self.in_flight = 0
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self.load_s = 0.0
        self.pending: Callable[[], int] = lambda: 0
        self.is_ready: Callable[[], bool] = lambda: False

    def answered(self, endpoint: str, code: int, seconds: float, reason: str = "") -> None:
        """An inference request has its answer, whatever it is; `reason` when it is not a good one."""
        self.requests[endpoint, code] += 1
        self.phases["request"].observe(seconds)
        if code >= 400:
            self.fail_count += 1
            self.fail_s += seconds
            if reason:
                self.failures[reason] += 1

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

    def failed(self, reason: str) -> None:
        self.failures[reason] += 1


class SilentMeters(ModelMeters):
    """Measures nothing: for comparing what measuring costs."""

    def answered(self, endpoint: str, code: int, seconds: float, reason: str = "") -> None:
        pass

    def failed(self, reason: str) -> None:
        pass

    def ran(
        self, rows: int, waits_s: Sequence[float], input_s: float, infer_s: float, output_s: float
    ) -> None:
        pass


class Metrics(Collector):
    """Everything that is counted, by model key. `build`: labels of the info metric."""

    def __init__(self, build: dict[str, str], is_measuring: bool = True) -> None:
        self._build = build
        self._new_meters = ModelMeters if is_measuring else SilentMeters
        self._models: dict[ModelKey, ModelMeters] = {}
        self.other_requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.other_failures: defaultdict[str, int] = defaultdict(int)
        self.worker_restarts: defaultdict[str, int] = defaultdict(int)
        self.records_dropped: Callable[[], dict[str, int]] = dict
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def model(self, key: "ModelKey") -> ModelMeters:
        """The cells of a version; the same ones when it is loaded again, because counters only grow."""
        if key not in self._models:
            self._models[key] = self._new_meters(*key)
        return self._models[key]

    def other(self, endpoint: str, code: int, reason: str = "") -> None:
        """A request that reached no model has its answer. `endpoint`: a route's template, never a path."""
        self.other_requests[endpoint, code] += 1
        if reason and code >= 400:
            self.other_failures[reason] += 1

    def text(self) -> bytes:
        """Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        models = list(self._models.values())
        yield from _histograms(models)
        yield from _gauges(models)
        yield from self._counters(models)
        info = GaugeMetricFamily("slipway_build_info", "Versions.", labels=list(self._build))
        info.add_metric(list(self._build.values()), 1)
        yield info

    def _counters(self, models: list[ModelMeters]) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "slipway_requests", "Answers.", labels=["model", "version", "endpoint", "code"]
        )
        for meters in models:
            for (endpoint, code), count in meters.requests.items():
                requests.add_metric([*meters.labels, endpoint, str(code)], count)
        for (endpoint, code), count in self.other_requests.items():
            requests.add_metric(["", "", endpoint, str(code)], count)
        yield requests
        yield _by_reason("requests_failed", "Requests without a good answer.", models, "failures")
        yield _by_reason("items_dropped", "Items dropped before a run.", models, "dropped")
        for name, text in (
            ("prompt_tokens", "Tokens read."),
            ("generated_tokens", "Tokens written."),
        ):
            tokens = CounterMetricFamily(f"slipway_{name}", text, labels=["model", "version"])
            for meters in models:
                tokens.add_metric(meters.labels, getattr(meters, name))
            yield tokens
        restarts = CounterMetricFamily(
            "slipway_worker_restarts", "Workers replaced.", labels=["reason"]
        )
        for reason, count in self.worker_restarts.items():
            restarts.add_metric([reason], count)
        yield restarts


def _by_reason(name: str, text: str, models: list[ModelMeters], attribute: str) -> Metric:
    family = CounterMetricFamily(f"slipway_{name}", text, labels=["model", "version", "reason"])
    for meters in models:
        for reason, count in getattr(meters, attribute).items():
            family.add_metric([*meters.labels, reason], count)
    return family


def _histograms(models: list[ModelMeters]) -> Iterator[Metric]:
    families: list[tuple[str, str, Callable[[ModelMeters], Histogram]]] = [
        (f"{phase}_seconds", f"Time in {phase.replace('_', ' ')}.", _phase(phase))
        for phase in PHASES
    ]
    families.append(("batch_size", "Items in one run.", lambda meters: meters.batch_size))
    families.append(
        (
            "time_to_first_token_seconds",
            "From arrival to the first token.",
            lambda meters: meters.time_to_first_token,
        )
    )
    for name, text, cell in families:
        family = HistogramMetricFamily(f"slipway_{name}", text, labels=["model", "version"])
        for meters in models:
            histogram = cell(meters)
            family.add_metric(meters.labels, histogram.cumulative(), histogram.total)
        yield family


def _phase(name: str) -> Callable[[ModelMeters], Histogram]:
    return lambda meters: meters.phases[name]


def _gauges(models: list[ModelMeters]) -> Iterator[Metric]:
    gauges: list[tuple[str, str, Callable[[ModelMeters], float]]] = [
        ("pending_requests", "Items that wait for a run.", lambda meters: meters.pending()),
        ("in_flight_requests", "Requests being answered.", lambda meters: meters.in_flight),
        ("model_ready", "1 when the version can answer.", lambda meters: meters.is_ready()),
        ("model_load_seconds", "Opening and golden exam.", lambda meters: meters.load_s),
    ]
    for name, text, value in gauges:
        family = GaugeMetricFamily(f"slipway_{name}", text, labels=["model", "version"])
        for meters in models:
            family.add_metric(meters.labels, float(value(meters)))
        yield family
