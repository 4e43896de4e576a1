"""What is counted can be read back in Prometheus' own words."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from service.generation.stats import EngineStats
from service.observability.exposition import OPEN_METRICS, TEXT, content_type, text
from service.observability.families import FAMILIES
from service.observability.histogram import Histogram
from service.observability.meters import SessionInfo
from service.observability.metrics import Metrics
from service.observability.trace_context import Trace, new_trace
from service.workers.base import ModelKey

KEY = ModelKey("digits", 3)


def families(metrics: Metrics) -> Iterator[Metric]:
    return text_string_to_metric_families(text(metrics).decode())


def samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """(name, distinguishing label) → value."""
    found = {}
    for family in families(metrics):
        for sample in family.samples:
            labels = sample.labels
            extra = labels.get("le") or labels.get("reason") or labels.get("code") or ""
            found[sample.name, extra] = sample.value
    return found


def filled() -> Metrics:
    """With at least one sample of every family."""
    metrics = Metrics({"version": "1.2.3", "python": "3.11", "onnxruntime": "1"})
    meters = metrics.model(KEY)
    meters.answered("/v2/infer", 200, 0.002)
    meters.answered("/v2/infer", 503, 0.001, "queue_full")
    meters.ran(4, [0.001, 0.002], 0.0001, 0.004, 0.0001)
    meters.dropped["deadline"] += 2
    meters.load_failures["exam"] += 1
    meters.batches_bounded["cost"] += 1
    meters.batch_limit_changes["late"] += 1
    meters.latency_target_s = 0.02
    meters.session = SessionInfo("cuda", "cpu", 4)
    meters.written.prompt_tokens = 7
    meters.written.finished["stop"] += 1
    meters.engine.reported(EngineStats(running=2, decode_tokens=9, ended={"stop": 1}))
    metrics.worker_restarts["lost"] += 1
    metrics.frontend_restarts["hung"] += 1
    metrics.records_dropped = lambda: {"access_log": 3}
    metrics.pids = lambda: {"frontend-0": os.getpid()}
    metrics.required = lambda: {KEY.name}
    metrics.memory = lambda: {
        "limit_bytes": 100,
        "free_bytes": 60,
        "reserved_bytes": 10,
        "models": [[*KEY, 30, 40]],
    }
    metrics.other("/v2/health/live", 200)
    return metrics


def test_every_family_is_written_with_its_labels_and_read_back() -> None:
    found = {family.name: family for family in families(filled())}
    for family in FAMILIES:
        read = found[f"slipway_{family.name.removesuffix('_total')}"]
        assert read.type == family.kind
        assert read.documentation == family.help
        assert read.samples, family.name
        labels = set(read.samples[0].labels) - {"le"}
        assert labels == set(family.labels), family.name


def test_values_are_those_that_were_counted() -> None:
    found = samples(filled())
    assert found["slipway_requests_total", "503"] == 1
    assert found["slipway_requests_failed_total", "queue_full"] == 1
    assert found["slipway_requests_rejected_total", "queue_full"] == 1
    assert found["slipway_items_dropped_total", "deadline"] == 2
    assert found["slipway_worker_restarts_total", "lost"] == 1
    assert found["slipway_model_load_failures_total", "exam"] == 1
    assert found["slipway_request_seconds_bucket", "0.001"] == 1
    assert found["slipway_request_seconds_bucket", "0.0025"] == 2
    assert found["slipway_request_seconds_sum", ""] == pytest.approx(0.003)
    assert found["slipway_compute_infer_seconds_count", ""] == 2
    assert found["slipway_compute_infer_seconds_sum", ""] == 0.008  # both requests waited for it
    assert found["slipway_execution_seconds_total", ""] == 0.004  # the worker was busy once
    assert found["slipway_batch_size_bucket", "2.0"] == 0
    assert found["slipway_batch_size_bucket", "4.0"] == 1
    assert found["slipway_inferences_total", ""] == 4
    assert found["slipway_num_requests_running", ""] == 2
    assert found["slipway_generation_ended_total", "stop"] == 1
    assert found["slipway_process_resident_memory_bytes", ""] > 1 << 20


def test_a_histogram_counts_at_or_below_each_bound() -> None:
    metrics = Metrics({})
    cell = metrics.model(KEY).written.time_to_first_token
    metrics.model(KEY).written.prompt_tokens = 1
    for value in (0.0001, 0.00011, 30.0, 31.0):
        cell.observe(value)
    found = samples(metrics)
    name = "slipway_time_to_first_token_seconds_bucket"
    values = [found[name, bound] for bound in ("0.0001", "0.00025", "10.0", "30.0", "+Inf")]
    assert values == [1, 2, 2, 3, 4]


def open_metrics(metrics: Metrics) -> dict[str, Metric]:
    page = text(metrics, OPEN_METRICS).decode()
    return {family.name: family for family in openmetrics.text_string_to_metric_families(page)}


def test_both_formats_have_the_same_series_with_the_same_values() -> None:
    metrics = filled()
    metrics.pids = dict  # memory and processor time change between two looks
    plain = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families(metrics)
        for sample in family.samples
    }
    opened = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in open_metrics(metrics).values()
        for sample in family.samples
    }
    assert opened == plain
    assert len(plain) > len(FAMILIES)


def test_a_sampled_request_stands_for_its_bucket_until_a_newer_one_does() -> None:
    metrics = Metrics({})
    meters = metrics.model(KEY)
    earlier, later = new_trace(is_sampled=True), new_trace(is_sampled=True)
    for seconds, trace in (
        (0.002, earlier),
        (0.0021, later),
        (0.3, Trace("ab" * 16, "cd" * 8, "", is_sampled=False)),
        (60.0, None),
    ):
        meters.answered("/v2/infer", 200, seconds, trace=trace)
    found = open_metrics(metrics)["slipway_request_seconds"].samples
    exemplars = {s.labels["le"]: s.exemplar for s in found if s.exemplar is not None}
    assert list(exemplars) == ["0.0025"]
    exemplar = exemplars["0.0025"]
    assert exemplar.labels == {"trace_id": later.trace_id}
    assert exemplar.value == 0.0021
    assert float(exemplar.timestamp) == pytest.approx(time.time(), abs=60)
    assert b"trace_id" not in text(metrics, TEXT)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", OPEN_METRICS),
        ("text/html,*/*;q=0.8", TEXT),
        ("", TEXT),
    ],
)
def test_who_asks_for_open_metrics_gets_it(accept: str, form: str) -> None:
    assert content_type(accept) == form


def test_a_name_cannot_break_out_of_its_label() -> None:
    metrics = Metrics({})
    name = 'a"b\\c\nd'
    metrics.model(ModelKey(name, 1)).answered("/x", 200, 0.1)
    [found] = [f for f in families(metrics) if f.name == "slipway_inferences"]
    assert found.samples[0].labels["model"] == name


def test_a_hundred_models_are_written_within_a_tenth_of_a_second() -> None:
    metrics = Metrics({})
    for number in range(100):
        meters = metrics.model(ModelKey(f"model-{number}", 1))
        for code in (200, 400, 503):
            meters.answered("/v2/infer", code, 0.01, "queue_full")
        meters.ran(3, [0.01] * 3, 0.1, 0.1, 0.1)
    began = time.process_time()
    for _ in range(3):
        text(metrics)
    assert (time.process_time() - began) / 3 < 0.1


def test_prometheus_own_checker_is_content() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text(filled()), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr.decode()


def test_observing_costs_little_more_than_nothing() -> None:
    cell = Histogram()
    began = time.process_time()
    for _ in range(20_000):
        cell.observe(0.003)
    assert (time.process_time() - began) / 20_000 < 20e-6
