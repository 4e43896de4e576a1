"""Probes are honest: alive means able to answer, whatever the load."""

from collections.abc import Iterator

import pytest

from tests.service.bundles import digits_bundle
from tests.service.fakes import Service, serving


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving([digits_bundle(tmp_path_factory.mktemp("health") / "repository")]) as running:
        yield running


def test_a_server_that_answers_is_alive_and_ready(alone: Service) -> None:
    live, ready = alone.client.get("/v2/health/live"), alone.client.get("/v2/health/ready")
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


def test_a_dead_batcher_is_told_because_only_a_restart_helps(alone: Service) -> None:
    [model] = alone.registry
    assert model.batcher is not None
    alone.registry.required = {"digits"}
    model.batcher.is_alive = False
    live, ready = alone.client.get("/v2/health/live"), alone.client.get("/v2/health/ready")
    assert (live.status_code, ready.status_code) == (503, 503)
    assert live.json() == {"live": False, "dead": ["digits/1"]}


def test_the_first_probe_after_a_hang_is_not_told_that_all_is_well(alone: Service) -> None:
    alone.app.state.metrics.is_loop_stale = lambda: True
    live = alone.client.get("/v2/health/live")
    assert (live.status_code, live.json()) == (503, {"live": False, "dead": ["event loop"]})


def test_metrics_are_prometheus_text(alone: Service) -> None:
    answer = alone.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE slipway_request_seconds histogram" in answer.text


def test_a_traced_request_is_an_exemplar_of_its_bucket_where_open_metrics_is_asked_for(
    alone: Service,
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traced = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
    alone.client.post("/v2/models/digits/infer", json={"inputs": []}, headers=traced)
    answer = alone.client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert f'# {{trace_id="{trace_id}"}}' in answer.text


def test_every_answer_tells_its_time(alone: Service) -> None:
    for path in ("/v2/health/live", "/v2", "/nowhere", "/metrics"):
        assert "total;dur=" in alone.client.get(path).headers["server-timing"]
