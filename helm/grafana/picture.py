"""Draws rows of a dashboard with matplotlib, from what a Prometheus has, for pages that hold no Grafana.

Layout, titles, queries and units are the dashboard's own. It is not Grafana's drawing, and says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

Series = Mapping[str, Any]
Ask = Callable[[str], Sequence[Series]]
"""PromQL with the dashboard's variables → series with `metric` and `values`, as Prometheus has them."""

Answers = Sequence[tuple[Mapping[str, Any], Series]]
"""Each series with the panel's target that asked for it."""

_WIDTH_IN, _UNIT_IN = 15.0, 0.27
_BACK, _PANEL, _TEXT, _GRID = "#111217", "#181b1f", "#ccccdc", "#2c3235"
_COLOURS = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#fade2a")
_LOG = "log"


@dataclass(frozen=True)
class Place:
    """Where a panel stands, as shares of the picture."""

    left: float
    bottom: float
    width: float
    height: float


def draw(dashboard: Mapping[str, Any], rows: Sequence[str], ask: Ask, note: str) -> Figure:
    """The named rows; panels without data are left out. `note`: where the figures come from."""
    asked = [(panel, _answers(panel, ask)) for panel in _panels_of(dashboard, rows)]
    chosen = [(panel, found) for panel, found in asked if panel["type"] == "row" or found]
    start_s = min(_moments(one["values"]).min() for _, found in chosen for _, one in found)
    top = min(panel["gridPos"]["y"] for panel, _ in chosen)
    units = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in chosen) - top + 3
    picture = Figure(figsize=(_WIDTH_IN, units * _UNIT_IN), facecolor=_BACK)
    picture.text(0.01, 1 - 0.9 / units, dashboard["title"], color="white", fontsize=15, va="center")
    picture.text(0.01, 1 - 2.1 / units, note, color=_TEXT, fontsize=9, va="center")
    for panel, found in chosen:
        place = _place(panel["gridPos"], top, units)
        if panel["type"] == "row":
            middle = place.bottom + place.height / 2
            picture.text(
                place.left, middle, panel["title"], color="white", fontsize=11, va="center"
            )
            continue
        _draw_panel(picture, place, panel, found, start_s)
    return picture


def _answers(panel: Mapping[str, Any], ask: Ask) -> Answers:
    """Without series that have no number at all: a ratio of nothing to nothing."""
    return [
        (target, series)
        for target in panel.get("targets", ())
        for series in ask(target["expr"])
        if any(not np.isnan(float(value)) for _, value in series["values"])
    ]


def _moments(values: Sequence[Any]) -> Any:
    return np.array([float(at) for at, _ in values])


def _panels_of(dashboard: Mapping[str, Any], rows: Sequence[str]) -> list[dict[str, Any]]:
    chosen, is_chosen = [], False
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            is_chosen = panel["title"] in rows
        if is_chosen:
            chosen.append(panel)
    return chosen


def _place(grid: Mapping[str, int], top: int, units: float) -> Place:
    bottom = 1 - (grid["y"] - top + grid["h"] + 3) / units
    return Place(grid["x"] / 24 + 0.005, bottom, grid["w"] / 24 - 0.01, grid["h"] / units)


def _draw_panel(
    picture: Figure,
    place: Place,
    panel: Mapping[str, Any],
    answers: Answers,
    start_s: float,
) -> None:
    back = picture.add_axes((place.left, place.bottom + 0.002, place.width, place.height - 0.004))
    back.set(facecolor=_PANEL, xticks=[], yticks=[])
    back.set_title(panel["title"], color=_TEXT, fontsize=8.5, loc="left", y=1.0, pad=-11, x=0.01)
    if panel["type"] == "stat":
        value = float(answers[0][1]["values"][-1][1])
        unit = panel["fieldConfig"]["defaults"]["unit"]
        shown = f"{value:.3%}" if unit == "percentunit" else f"{value:g}"
        colour = _COLOURS[0] if value >= _last_step(panel) else _COLOURS[4]
        back.text(0.5, 0.42, shown, color=colour, fontsize=20, ha="center", va="center")
        return
    inner = back.inset_axes((0.075, 0.13, 0.905, 0.69))
    _dress(inner)
    if panel["type"] == "heatmap":
        _heat(inner, [series for _, series in answers], start_s)
    else:
        _lines(inner, panel, answers, start_s)


def _last_step(panel: Mapping[str, Any]) -> float:
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return float(steps[-1]["value"])


def _dress(axes: Axes) -> None:
    axes.set_facecolor(_PANEL)
    axes.tick_params(colors=_TEXT, labelsize=6.5, length=0)
    axes.grid(color=_GRID, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _lines(
    axes: Axes,
    panel: Mapping[str, Any],
    answers: Answers,
    start_s: float,
) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    stacks = custom.get("stacking", {}).get("mode") == "normal"
    drawn = [(_legend(target["legendFormat"], one["metric"]), one) for target, one in answers]
    moments = np.unique(np.concatenate([_moments(one["values"]) for _, one in drawn]))
    seconds = moments - start_s
    lines = [_on(moments, one) for _, one in drawn]
    names = [name for name, _ in drawn]
    if stacks:
        filled = [np.nan_to_num(line) for line in lines]
        axes.stackplot(seconds, filled, labels=names, colors=_COLOURS, alpha=0.75)
    else:
        for number, line in enumerate(lines):
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(seconds, line, color=colour, linewidth=1.2, label=names[number])
    if custom.get("scaleDistribution", {}).get("type") == _LOG:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shown(value, unit)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes.set_xlim(left=0)
    axes.legend(
        fontsize=6, loc="upper left", ncols=2, labelcolor=_TEXT,
        facecolor=_PANEL, edgecolor="none", framealpha=0.7,
    )  # fmt: skip


def _on(moments: Any, series: Series) -> Any:
    """Values at all moments; NaN where the series has none."""
    known = {float(at): float(value) for at, value in series["values"]}
    return np.array([known.get(at, np.nan) for at in moments])


def _heat(axes: Axes, found: Sequence[Series], start_s: float) -> None:
    """Buckets hold what lies at or below their bound: each less the one before."""
    bounds = sorted(found, key=lambda series: float(series["metric"]["le"]))
    moments = np.unique(np.concatenate([_moments(one["values"]) for one in bounds]))
    running = np.nan_to_num(np.array([_on(moments, series) for series in bounds]))
    counts = np.diff(running, axis=0, prepend=0)
    shown = np.ma.masked_less_equal(counts, 0)
    axes.pcolormesh(moments - start_s, np.arange(len(bounds)), shown**0.5, cmap="turbo")
    labels = [_shown(float(series["metric"]["le"]), "s") for series in bounds]
    axes.set_yticks(np.arange(len(bounds))[::3], labels[::3])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))


def _legend(form: str, labels: Mapping[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", value)
    return " ".join(part for part in form.split() if not part.startswith("{{")) or "–"


def _shown(value: float, unit: str) -> str:
    if unit == "s":
        steps: tuple[tuple[float, str], ...] = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
        size, name = next((step for step in steps if abs(value) >= step[0]), (1, "s"))
        return f"{value / size:.3g} {name}" if value else "0"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
