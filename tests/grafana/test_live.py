"""A real Prometheus scrapes a real server under load: every panel has data, and the numbers are right."""

import math
import time
from bisect import bisect_left
from collections.abc import Iterator

import pytest

from service.observability.histogram import SECONDS
from tests.grafana.dashboards import Query, annotations, queries, read
from tests.grafana.prometheus import POD, shown, values
from tests.grafana.promql import substituted
from tests.grafana.series import own
from tests.grafana.world import STEADY, TEXTS, TRACE_ID, Load, World, living
from tests.tools import tool

pytestmark = pytest.mark.slow

_SECONDS = 8.0
_WINDOW = "20s"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    tool("prometheus")  # skips before anything is started
    with living(tmp_path_factory.mktemp("live")) as started:
        yield started


@pytest.fixture(scope="module")
def steady(world: World) -> Load:
    """Load within the server's means; then texts, a repeated prompt, batches, and too much at once."""
    measured = world.load(STEADY, concurrency=2, seconds=_SECONDS, warm_s=1.0)
    world.texts(4.0)
    world.repeat_a_prompt()
    world.load("batched", concurrency=8, seconds=1.0)
    flood = world.load(STEADY, concurrency=80, seconds=1.5)
    assert any("503" in error for error in flood.figures.errors), "it was not too much"
    world.prometheus.until_scraped_after(time.time() + 2.0)
    return measured


def ask(world: World, query: Query) -> str:
    """What is wrong with the answer; empty when all is well."""
    found = world.prometheus.query(substituted(query.expression, POD, _WINDOW))
    if not found:
        return f"{query}: no data"
    if all(math.isnan(value) for value in values(found)):
        return f"{query}: only NaN\n{shown(found)}"
    return ""


def test_all_targets_are_up_and_all_rules_can_be_evaluated(world: World, steady: Load) -> None:
    targets = world.prometheus.get("/targets")["activeTargets"]
    assert {(target["labels"]["job"], target["health"]) for target in targets} == {
        ("slipway", "up"), ("cluster", "up"),
    }  # fmt: skip
    groups = world.prometheus.get("/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    assert len(rules) > 40


def test_every_panel_has_data(world: World, steady: Load) -> None:
    asked = [*queries()]
    assert [problem for query in asked if (problem := ask(world, query))] == []
    assert len(asked) > 70


def test_a_single_model_and_version_can_be_chosen(world: World, steady: Load) -> None:
    chosen = {**POD, "model": STEADY, "version": "1"}
    latency = [q for q in queries() if q.dashboard == "overview" and q.panel == "Latency"]
    assert len(latency) == 3
    for query in latency:
        expression = substituted(query.expression, chosen, f"{_SECONDS:g}s")
        assert world.prometheus.number(expression, steady.end_s) > 0.005
        chosen_not = expression.replace(f'"{STEADY}"', '"nobody"')
        assert world.prometheus.query(chosen_not, steady.end_s) == []


def test_the_variables_offer_what_is_served(world: World, steady: Load) -> None:
    offered = {}
    for variable in read("overview")["templating"]["list"]:
        if variable["type"] == "query":
            series = variable["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
            path = f"/label/{variable['name']}/values"
            offered[variable["name"]] = world.prometheus.get(
                path, **{"match[]": substituted(series)}
            )
    assert offered == {
        "namespace": [POD["namespace"]],
        "pod": [POD["pod"]],
        "model": ["batched", "broken", TEXTS, STEADY],
        "version": ["1"],
    }


def test_marks_stand_where_something_happened(world: World, steady: Load) -> None:
    for query in annotations():
        found = world.prometheus.query(substituted(query.expression, POD))
        assert found, query
        if query.panel in ("Deploys", "Model swaps"):
            moments_s = [value / 1000 for value in values(found)]
            assert all(steady.start_s - 120 < moment < steady.start_s for moment in moments_s)


def test_a_point_of_the_latency_panel_leads_to_a_trace(world: World, steady: Load) -> None:
    [query] = [
        q for q in queries() if q.has_exemplars and q.panel == "Latency" and q.legend == "p95"
    ]
    found = world.prometheus.get(
        "/query_exemplars",
        query=substituted(query.expression, POD),
        start=steady.start_s,
        end=time.time(),
    )
    traces = {
        exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]
    }
    assert traces == {TRACE_ID}


def test_requests_per_second_are_the_load_generators(world: World, steady: Load) -> None:
    """Between the first and the last scrape of the window, which is all that Prometheus knows about it."""
    [query] = [q for q in queries() if (q.dashboard, q.panel) == ("overview", "Answers")]
    window = f"{round(steady.end_s - steady.start_s)}s"
    expression = substituted(query.expression, {**POD, "model": STEADY}, window)
    found = world.prometheus.query(expression, steady.end_s)
    [told] = [float(s["value"][1]) for s in found if s["metric"]["code"] == "200"]
    good = f'slipway_requests_total{{model="{STEADY}", code="200"}}[{window}]'
    [scraped] = world.prometheus.query(good, steady.end_s)
    first, *_, last = scraped["values"]
    assert told == pytest.approx(steady.per_second(first[0], last[0]), rel=0.05)
    assert steady.figures.requests > 50, "too few to compare"


def test_the_95th_percentile_is_the_load_generators_within_a_bucket(
    world: World, steady: Load
) -> None:
    [query] = [q for q in queries() if q.panel == "p95 by model"]
    window = f"{round(steady.end_s - steady.start_s)}s"
    expression = substituted(query.expression, {**POD, "model": STEADY}, window)
    told_s = world.prometheus.number(expression, steady.end_s)
    measured_s = steady.figures.whole_answer.p95_ms / 1e3
    assert abs(bisect_left(SECONDS, told_s) - bisect_left(SECONDS, measured_s)) <= 1
    bucket = bisect_left(SECONDS, measured_s)
    assert abs(told_s - measured_s) <= SECONDS[bucket] - SECONDS[bucket - 1]


def test_only_known_series_are_scraped(world: World, steady: Load) -> None:
    scraped = world.prometheus.get(
        "/series", **{"match[]": '{job="slipway", __name__=~"slipway_.*"}'}
    )
    unknown = {series["__name__"] for series in scraped} - own().keys()
    assert unknown == set()
    for series in scraped:
        assert set(series) - {"__name__"} <= own()[series["__name__"]], series
