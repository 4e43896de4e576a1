"""What is counted can be read back in Prometheus' own words."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import Histogram, Metrics
from service.workers.base import ModelKey

KEY = ModelKey("digits", 3)


def _samples(metrics: Metrics) -> dict[tuple[str, str], float]:
    """(name, distinguishing label) → value."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = sample.labels
            extra = labels.get("le") or labels.get("reason") or labels.get("code") or ""
            found[sample.name, extra] = sample.value
    return found


def test_a_histogram_counts_at_or_below_each_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert histogram.total == 12.0


def test_a_batchs_phase_counts_once_per_item() -> None:
    histogram = Histogram((1.0,))
    histogram.observe(0.5, weight=8)
    assert (histogram.count, histogram.total) == (8, 4.0)


def test_the_text_parses_and_holds_every_promised_name() -> None:
    metrics = Metrics({"version": "1.2.3"})
    meters = metrics.model(KEY)
    meters.answered("/v2/infer", 200, 0.002)
    meters.answered("/v2/infer", 503, 0.001)
    meters.failed("queue_full")
    meters.dropped["deadline"] += 2
    metrics.worker_restarts["lost"] += 1
    metrics.other_requests["/v2/health/live", 200] += 1
    samples = _samples(metrics)
    assert samples["slipway_requests_total", "503"] == 1
    assert samples["slipway_requests_failed_total", "queue_full"] == 1
    assert samples["slipway_items_dropped_total", "deadline"] == 2
    assert samples["slipway_worker_restarts_total", "lost"] == 1
    assert samples["slipway_request_seconds_bucket", "0.0025"] == 2
    names = {name for name, _ in samples}
    promised = """queue_seconds_sum compute_input_seconds_count compute_infer_seconds_count
        compute_output_seconds_count batch_size_count pending_requests in_flight_requests
        model_ready model_load_seconds generated_tokens_total prompt_tokens_total
        time_to_first_token_seconds_count build_info"""
    for name in promised.split():
        assert f"slipway_{name}" in names


def test_a_reloaded_version_goes_on_counting() -> None:
    metrics = Metrics({})
    metrics.model(KEY).answered("/v2/infer", 200, 0.1)
    assert metrics.model(KEY).requests["/v2/infer", 200] == 1


@pytest.mark.parametrize("attribute", ["in_flight", "load_s"])
def test_gauges_show_the_moment(attribute: str) -> None:
    metrics = Metrics({})
    setattr(metrics.model(KEY), attribute, 5)
    names = {"in_flight": "slipway_in_flight_requests", "load_s": "slipway_model_load_seconds"}
    assert _samples(metrics)[names[attribute], ""] == 5


def test_statistics_are_kept_per_batch_size() -> None:
    meters = Metrics({}).model(KEY)
    meters.ran(4, [0.1, 0.3], 0.01, 0.5, 0.02)
    meters.ran(4, [0.2], 0.01, 0.25, 0.02)
    meters.ran(1, [0.0], 0.01, 0.125, 0.02)
    times = meters.batches[4]
    assert (times.count, times.infer_s) == (2, 0.75)
    assert times.input_s == pytest.approx(0.02)
    assert times.output_s == pytest.approx(0.04)
    assert (meters.execution_count, meters.inference_count) == (3, 9)
    assert meters.phases["queue"].count == meters.phases["compute_infer"].count == 4
    assert meters.phases["compute_infer"].total == 1.375
    assert meters.last_inference_ms > 1.5e12


def test_successes_and_failures_are_told_apart() -> None:
    meters = Metrics({}).model(KEY)
    meters.answered("/v2/infer", 200, 0.5)
    meters.answered("/v2/infer", 503, 0.25, "queue_full")
    assert (meters.success_count, meters.success_s) == (1, 0.5)
    assert (meters.fail_count, meters.fail_s) == (1, 0.25)
    assert meters.failures == {"queue_full": 1}
