"""How a panel looks: one function per kind. `queries`: legend → PromQL; legends may hold {{labels}}."""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana_foundation_sdk.builders import (
    common,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models import prometheus as source

Queries = Mapping[str, str]
Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; None begins."""

WIDTH, HEIGHT = 8, 7
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")


def series(
    title: str,
    description: str,
    queries: Queries,
    unit: str = "short",
    *,
    width: int = WIDTH,
    stacks: bool = False,
    exemplars: bool = False,
    steps: Steps = (),
    logs: bool = False,
) -> timeseries.Panel:
    """Lines over time. `steps`: thresholds, drawn as lines. `logs`: a logarithmic axis."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .span(width)
        .height(HEIGHT)
        .fill_opacity(60 if stacks else 8)
        .line_width(1)
        .show_points(looks.VisibilityMode.NEVER)
        .legend(_legend())
        .tooltip(
            common.VizTooltipOptions()
            .mode(looks.TooltipDisplayMode.MULTI)
            .sort(looks.SortOrder.DESCENDING)
        )
    )
    if stacks:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL).group("A"))
    if logs:
        axis = common.ScaleDistributionConfig().type(looks.ScaleDistribution.LOG).log(10)
        panel.scale_distribution(axis)
    else:
        panel.min(0)  # which a logarithm does not have
    if steps:
        lines = common.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_thresholds(steps)).thresholds_style(lines)
    for target in _targets(queries, exemplars=exemplars):
        panel.with_target(target)
    return panel


def figure(
    title: str, description: str, query: str, unit: str, steps: Steps, *, width: int = 6
) -> stat.Panel:
    """One number, of now."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .decimals(3 if unit == "percentunit" else 1)
        .span(width)
        .height(4)
        .thresholds(_thresholds(steps))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_target(query, "", "A").instant())
    )


def heat_map(title: str, description: str, query: str, *, width: int = 2 * WIDTH) -> heatmap.Panel:
    """Of a histogram's buckets, as Prometheus has them: nothing is computed anew."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(HEIGHT)
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heat.HeatmapColorMode.SCHEME)
            .scheme("Turbo")
            .scale(heat.HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit("s"))
        .exemplars_color("rgba(255,255,255,0.8)")
        .with_target(
            _target(query, "{{le}}", "A", exemplars=True).format(source.PromQueryFormat.HEATMAP)
        )
    )


def states(title: str, description: str, queries: Queries, *, width: int = WIDTH) -> Any:
    """Bars over time: 0 is red, 1 green."""
    panel = (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(HEIGHT)
        .mappings(
            [
                model.ValueMap(
                    options={
                        "0": model.ValueMappingResult(text="not ready", color="red"),
                        "1": model.ValueMappingResult(text="ready", color="green"),
                    }
                )
            ]
        )
    )
    for target in _targets(queries):
        panel.with_target(target)
    return panel


def rows(
    title: str, description: str, query: str, columns: Mapping[str, str], *, width: int = 2 * WIDTH
) -> table.Panel:
    """A table of a query's labels. `columns`: label → heading, in this order; the others are hidden."""
    order = {label: place for place, label in enumerate(columns)}
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .span(width)
        .height(HEIGHT)
        .with_target(_target(query, "", "A").format(source.PromQueryFormat.TABLE).instant())
        .with_transformation(
            model.DataTransformerConfig(
                id_val="filterFieldsByName", options={"include": {"names": list(columns)}}
            )
        )
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize", options={"indexByName": order, "renameByName": dict(columns)}
            )
        )
    )


def _targets(queries: Queries, *, exemplars: bool = False) -> list[prometheus.Dataquery]:
    return [
        _target(query, legend, chr(ord("A") + number), exemplars=exemplars)
        for number, (legend, query) in enumerate(queries.items())
    ]


def _target(query: str, legend: str, name: str, *, exemplars: bool = False) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(query)
        .legend_format(legend)
        .ref_id(name)
        .exemplar(exemplars)
        .datasource(SOURCE)
    )


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.TABLE)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["mean", "max"])
    )


def _thresholds(steps: Steps) -> dashboards.ThresholdsConfig:
    listed = [model.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboards.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(listed)
