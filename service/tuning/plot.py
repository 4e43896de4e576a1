"""Throughput against waiting, a point per setting and load: where people would rather look."""

from collections.abc import Sequence
from pathlib import Path

from models.errors import UsageError
from service.tuning.report import Row
from service.tuning.space import precision


def draw(rows: Sequence[Row], file: Path, title: str) -> None:
    """A PNG. Raises UsageError when it cannot be written, ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    shown = [row for row in rows if row.load.p99_ms is not None and not row.load.error_share]
    names = dict.fromkeys(_name(row) for row in shown)
    for name in names:
        mine = [row for row in shown if _name(row) == name]
        axes.plot([_x(row) for row in mine], [_y(row) for row in mine], "o", label=name, alpha=0.6)
    front = sorted((_x(row), _y(row)) for row in shown if row.is_on_front)
    axes.plot([x for x, _ in front], [y for _, y in front], "k.", markersize=3, label="best")
    for row in shown:
        if row.is_chosen:
            axes.plot([_x(row)], [_y(row)], "k*", markersize=16, label="chosen", zorder=0)
    axes.set(xlabel="99th percentile, ms", ylabel="requests/s", xscale="log", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(file, format="png", dpi=120)
    except OSError as error:
        raise UsageError(f"--plot {file} cannot be written: {error.strerror}") from error


def _name(row: Row) -> str:
    return f"{row.setting.choice.runtime} {precision(row.setting.choice)}"


def _x(row: Row) -> float:
    assert row.load.p99_ms is not None
    return row.load.p99_ms


def _y(row: Row) -> float:
    return row.load.requests_per_s
