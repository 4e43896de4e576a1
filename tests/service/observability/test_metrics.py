"""Cells count what happened, whichever process it happened in."""

import json

import pytest

from service.observability.histogram import Histogram
from service.observability.meters import SessionInfo
from service.observability.metrics import Metrics, merged
from service.workers.base import ModelKey

KEY = ModelKey("digits", 3)


def test_a_batchs_phase_counts_once_per_item() -> None:
    histogram = Histogram((1.0,))
    histogram.observe(0.5, weight=8)
    assert (histogram.count, histogram.total) == (8, 4.0)


def test_a_reloaded_version_goes_on_counting() -> None:
    metrics = Metrics({})
    metrics.model(KEY).answered("/v2/infer", 200, 0.1)
    assert metrics.model(KEY).requests["/v2/infer", 200] == 1


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


def test_only_refusals_are_rejections() -> None:
    meters = Metrics({}).model(KEY)
    for code, reason in ((503, "queue_full"), (429, "quota"), (504, "deadline"), (400, "bad_json")):
        meters.answered("/v2/infer", code, 0.1, reason)
    assert meters.rejected == {"queue_full": 1, "quota": 1}
    assert len(meters.failures) == 4


def test_without_measuring_nothing_is_counted() -> None:
    meters = Metrics({}, is_measuring=False).model(KEY)
    meters.answered("/v2/infer", 200, 0.5)
    meters.ran(1, [0.1], 0.1, 0.1, 0.1)
    assert (meters.success_count, meters.execution_count, dict(meters.requests)) == (0, 0, {})


def test_publishing_again_and_again_does_not_leave_series_without_end() -> None:
    metrics = Metrics({})
    serving = metrics.model(ModelKey("digits", 1))
    serving.is_ready = lambda: True
    for version in range(2, 200):
        metrics.model(ModelKey("digits", version))
    assert len(metrics.models()) <= 17
    assert serving in metrics.models()
    assert metrics.model(ModelKey("digits", 199)) in metrics.models()


def busy(name: str, requests: int) -> Metrics:
    metrics = Metrics({"version": "1"}, name=name)
    meters = metrics.model(KEY)
    for _ in range(requests):
        meters.answered("/v2/infer", 200, 0.25)
        meters.ran(2, [0.5], 0.25, 1.0, 0.5)
    meters.answered("/v2/infer", 503, 1.0, "queue_full")
    meters.dropped["deadline"] += 1
    meters.in_flight, meters.load_s = requests, 0.5
    meters.pending, meters.is_ready = lambda: 2, lambda: True
    meters.session = SessionInfo("cpu", "cpu", 2)
    metrics.other("/v2/health/live", 200)
    metrics.other("unmatched", 404, "not_found")
    metrics.worker_restarts["lost"] += 1
    metrics.required = lambda: {"digits", f"only-{name}"}
    return metrics


def across(metrics: Metrics) -> dict[str, object]:
    """As it arrives in another process."""
    dump: dict[str, object] = json.loads(json.dumps(metrics.dump()))
    return dump


def test_the_sum_over_front_ends_is_what_one_would_have_counted() -> None:
    total = merged(Metrics({}), [across(busy("a", 3)), across(busy("b", 4))])
    [meters] = total.models()
    assert (meters.success_count, meters.fail_count) == (7, 2)
    assert (meters.success_s, meters.fail_s) == (1.75, 2.0)
    assert (meters.inference_count, meters.execution_count) == (14, 7)
    assert meters.batches[2].count == 7
    assert meters.batches[2].infer_s == 7.0
    assert meters.phases["queue"].count == 7
    assert meters.requests == {("/v2/infer", 200): 7, ("/v2/infer", 503): 2}
    assert meters.failures == meters.rejected == {"queue_full": 2}
    assert meters.dropped == {"deadline": 2}
    assert (meters.in_flight, meters.pending(), meters.is_ready()) == (7, 4, True)
    assert meters.session == SessionInfo("cpu", "cpu", 2)
    assert total.other_requests == {("/v2/health/live", 200): 2, ("unmatched", 404): 2}
    assert total.other_failures == {"not_found": 2}
    assert total.worker_restarts == {"lost": 2, "hung": 0}
    assert set(total.required()) == {"digits", "only-a", "only-b"}


def test_a_front_end_that_ended_leaves_its_counts_and_takes_its_gauges() -> None:
    gone = across(busy("b", 4)) | {"is_alive": False}
    total = merged(Metrics({}), [across(busy("a", 3)), gone])
    [meters] = total.models()
    assert meters.success_count == 7
    assert (meters.in_flight, meters.pending()) == (3, 2)
    assert [frontend["name"] for frontend in total.frontends] == ["a"]


def test_a_version_is_ready_only_where_every_front_end_can_answer() -> None:
    behind = busy("b", 1)
    behind.model(KEY).is_ready = lambda: False
    total = merged(Metrics({}), [across(busy("a", 1)), across(behind)])
    assert not total.model(KEY).is_ready()
