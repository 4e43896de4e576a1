"""What all dashboards share: the data source, the variables, the annotations, the links between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import dashboard as model

from helm.grafana.queries import MODEL, NAMESPACE, SERVER

TAG = "slipway"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Row:
    title: str
    panels: Sequence[Any]


@dataclass(frozen=True)
class Board:
    builder: dashboards.Dashboard
    annotations: tuple[dict[str, object], ...]


def board(uid: str, title: str, description: str, rows: Sequence[Row]) -> Board:
    """A dashboard whose file can be imported, provisioned or shipped in a ConfigMap alike."""
    builder = (
        dashboards.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboards.DashboardLink("Slipway")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    for variable in _variables():
        builder.with_variable(variable)
    number = 0
    for row in rows:
        number += 1
        builder.with_row(dashboards.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            builder.with_panel(panel.id(number))
    return Board(builder, _ANNOTATIONS)


def finished(board: Board, plain: dict[str, Any]) -> dict[str, Any]:
    """The members of annotations that Prometheus' data source reads are not in the schema's type."""
    plain["annotations"] = {"list": list(board.annotations)}
    return plain


def _variables() -> list[Any]:
    source = dashboards.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    return [
        source,
        _labels("namespace", "slipway_build_info"),
        _labels("pod", f"slipway_build_info{{{NAMESPACE}}}"),
        _labels("model", f"slipway_model_ready{{{SERVER}}}"),
        _labels("version", f'slipway_model_ready{{{SERVER}, model=~"$model"}}'),
    ]


def _labels(name: str, series: str) -> dashboards.QueryVariable:
    """The values that a label has; several may be chosen, and at first all are."""
    return (
        dashboards.QueryVariable(name)
        .label(name.capitalize())
        .datasource(model.DataSourceRef(type_val="prometheus", uid="${datasource}"))
        .query({"query": f"label_values({series}, {name})", "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _mark(name: str, colour: str, query: str, title: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "datasource": _SOURCE,
        "expr": query,
        "titleFormat": title,
        **more,
    }


# The value of the first two is the moment itself, in milliseconds: exact however coarse the steps are.
_ANNOTATIONS = (
    _mark(
        "Deploys",
        "blue",
        f'slipway_process_start_time_seconds{{{SERVER}, process="frontend-0"}} * 1000',
        "{{pod}} started",
        useValueForTime="on",
        step="60s",
    ),
    _mark(
        "Model swaps",
        "purple",
        f"slipway_model_load_timestamp_seconds{{{MODEL}}} * 1000 > 0",
        "{{model}}/{{version}} loaded",
        textFormat="{{pod}}",
        useValueForTime="on",
        step="60s",
    ),
    _mark(
        "Alerts",
        "red",
        f'ALERTS{{alertname=~"Slipway.*", alertstate="firing", {NAMESPACE}}}',
        "{{alertname}}",
        textFormat="{{model}} {{pod}}",
        tagKeys="severity",
        step="60s",
    ),
)
