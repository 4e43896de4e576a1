"""What KEDA asks Prometheus: one number, of this release alone, that says how much is to be done."""

import subprocess
from pathlib import Path

import yaml

from service.observability.families import FAMILIES
from tests.helm.chart import documents, of_kind
from tests.tools import tool

_POD = "release-slipway-5d9c7b-{}"


def _queries() -> dict[str, str]:
    triggers = of_kind("ScaledObject", documents("keda"))["spec"]["triggers"]
    return {t["name"]: t["metadata"]["query"] for t in triggers if t["type"] == "prometheus"}


def _series(name: str, pod: str, values: str, **labels: str) -> dict[str, str]:
    members = {"namespace": "models", "pod": pod, "model": "digits", "version": "1", **labels}
    written = ",".join(f'{key}="{value}"' for key, value in members.items())
    return {"series": f"{name}{{{written}}}", "values": values}


def _answers(tmp_path: Path, series: list[dict[str, str]], expected: dict[str, float]) -> str:
    """promtool's complaint when a query, to the thousandth, answers something else after five minutes."""
    queries = _queries()
    tests = [
        {
            "expr": f"round({queries[name]}, 0.001)",
            "eval_time": "5m",
            "exp_samples": [{"labels": "{}", "value": value}],
        }
        for name, value in expected.items()
    ]
    case = {"interval": "15s", "input_series": series, "promql_expr_test": tests}
    file = tmp_path / "case.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}))
    command = [str(tool("promtool")), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_load_is_the_sum_over_this_releases_pods(tmp_path: Path) -> None:
    name = "slipway_in_flight_requests"
    series = [
        _series(name, _POD.format("aaaaa"), "30x20"),
        _series(name, _POD.format("bbbbb"), "12x20"),
        _series(name, _POD.format("bbbbb"), "2x20", model="chat"),
        _series(name, "canary-slipway-5d9c7b-ccccc", "500x20"),
        _series(name, _POD.format("aaaaa"), "500x20", namespace="other"),
    ]
    assert _answers(tmp_path, series, {"in-flight": 44}) == ""


def test_a_quiet_service_has_waited_for_nothing(tmp_path: Path) -> None:
    bucket = "slipway_queue_seconds_bucket"
    pod = _POD.format("aaaaa")
    series = [_series(bucket, pod, "5x20", le="0.1"), _series(bucket, pod, "5x20", le="+Inf")]
    assert _answers(tmp_path, series, {"queue-wait": 0}) == ""
    assert _answers(tmp_path, [], {"queue-wait": 0}) == ""


def test_waiting_is_the_95th_percentile_of_the_last_minute(tmp_path: Path) -> None:
    bucket = "slipway_queue_seconds_bucket"
    series = [
        _series(bucket, _POD.format(pod), f"0+{per_scrape}x20", le=le)
        for pod in ("aaaaa", "bbbbb")
        for le, per_scrape in (("0.1", 90), ("0.2", 100), ("+Inf", 100))
    ]
    # 95 of 100 lie half-way between the 90 below 0.1 s and the 100 below 0.2 s.
    assert _answers(tmp_path, series, {"queue-wait": 0.15}) == ""


def test_queries_name_metrics_that_the_server_has() -> None:
    names = {f"slipway_{family.name}" for family in FAMILIES}
    for query in _queries().values():
        assert any(f"{name}{suffix}{{" in query for name in names for suffix in ("", "_bucket"))


def test_the_autoscalers_custom_metric_is_one_that_the_server_has() -> None:
    metrics = of_kind("HorizontalPodAutoscaler", documents("hpa"))["spec"]["metrics"]
    (name,) = [m["pods"]["metric"]["name"] for m in metrics if m["type"] == "Pods"]
    assert name in {f"slipway_{family.name}" for family in FAMILIES if family.kind == "gauge"}
