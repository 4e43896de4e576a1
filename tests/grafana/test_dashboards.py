"""Dashboards are what their code says, ask only for what exists, and can be read without their author."""

import re
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from helm.grafana.dashboards import DASHBOARDS, text
from tests.grafana.dashboards import FOLDER, NAMES, Query, annotations, panels, queries, read
from tests.grafana.promql import selectors, substituted, unknown_labels
from tests.grafana.series import labels_of, own

ASKED = [*queries(), *annotations()]


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_what_the_code_writes(name: str) -> None:
    assert set(DASHBOARDS) == set(NAMES) == {path.stem for path in FOLDER.glob("*.json")}
    assert (FOLDER / f"{name}.json").read_text() == text(DASHBOARDS[name]()), (
        "write it anew with: python -m helm.grafana"
    )


@pytest.mark.parametrize("query", ASKED, ids=str)
def test_a_query_names_series_and_labels_that_exist(query: Query) -> None:
    expression = substituted(query.expression)
    unknown = {selector.metric for selector in selectors(expression)} - labels_of().keys()
    assert unknown == set()
    assert unknown_labels(expression, labels_of()) == []


@pytest.mark.parametrize("query", [*queries()], ids=str)
def test_a_legend_shows_labels_that_the_answer_has(query: Query) -> None:
    """All that is shown must be grouped by, matched on, or a label of a series that is not summed up."""
    shown = set(re.findall(r"{{(\w+)}}", query.legend))
    known = frozenset().union(*labels_of().values()) | {"deployment"}
    assert shown <= known
    grouped = set(
        re.findall(r"\w+", " ".join(re.findall(r"(?:by|on) \(([^)]*)\)", query.expression)))
    )
    is_plain = "sum" not in query.expression.split("(")[0]
    assert shown <= grouped or is_plain or not grouped


@pytest.mark.parametrize("name", NAMES)
def test_the_variables_that_queries_use_are_there(name: str) -> None:
    defined = {variable["name"] for variable in read(name)["templating"]["list"]}
    assert defined == {"datasource", "namespace", "pod", "model", "version"}
    used = set(
        re.findall(r"\$([a-z_]\w*)", "".join(q.expression for q in ASKED if q.dashboard == name))
    )
    assert used <= defined | {"__rate_interval"}


@pytest.mark.parametrize("name", NAMES)
def test_variables_are_read_from_series_that_have_their_label(name: str) -> None:
    for variable in read(name)["templating"]["list"]:
        if variable["type"] != "query":
            continue
        asked = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        assert asked is not None
        [selector] = selectors(substituted(asked[1]))
        assert asked[2] == variable["name"]
        assert selector.labels | {variable["name"]} <= own()[selector.metric]
        assert variable["includeAll"]
        assert variable["allValue"] == ".*"


@pytest.mark.parametrize("name", NAMES)
def test_grafanas_own_types_read_it_and_lose_nothing(name: str) -> None:
    document = read(name)
    panels_read = Dashboard.from_json(document).panels
    assert panels_read is not None
    assert len(panels_read) == len(document["panels"])
    assert document["schemaVersion"] >= 39, "Grafana 11"
    assert "id" not in document, "Grafana gives numbers of its own"


@pytest.mark.parametrize("name", NAMES)
def test_panels_stand_side_by_side(name: str) -> None:
    document = read(name)["panels"]
    numbers = [panel["id"] for panel in document]
    assert len(set(numbers)) == len(numbers)
    for one, other in combinations(document, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])
    for panel in document:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_says_what_it_shows(name: str) -> None:
    for panel in panels(name):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        if panel["type"] not in ("heatmap", "table", "state-timeline"):
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_latency_leads_to_traces() -> None:
    with_exemplars = {query.panel for query in queries() if query.has_exemplars}
    assert {"Latency", "Latency of all requests"} <= with_exemplars


def test_the_overview_marks_deploys_swaps_and_alerts() -> None:
    marks = {entry["name"]: entry for entry in read("overview")["annotations"]["list"]}
    assert set(marks) == {"Deploys", "Model swaps", "Alerts"}
    for name in ("Deploys", "Model swaps"):
        assert marks[name]["useValueForTime"] == "on"
        assert "* 1000" in marks[name]["expr"], "Grafana reads the value as milliseconds"


def test_nothing_that_the_server_measures_for_the_overview_is_forgotten() -> None:
    """Metrics on no dashboard and in no rule are listed here, with the reason."""
    unseen = {
        "slipway_inferences_total": "items: batch sizes and rates say it",
        "slipway_executions_total": "runs: the batch size's count says it",
        "slipway_repository_poll_errors_total": "the server says it in its log; what is served stays",
        "slipway_process_open_fds": "for diagnosis by hand",
        "slipway_event_loop_lag_max_seconds": "the histogram's percentile is shown",
        "slipway_build_info": "fills the variables",
        "slipway_model_required": "an alert asks for it",
    }
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", selector.metric)
        for query in ASKED
        for selector in selectors(substituted(query.expression))
    }
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in own()}
    recorded = {"slipway_requests_total", "slipway_request_seconds"}
    assert sorted(names - asked - recorded) == sorted(unseen)
