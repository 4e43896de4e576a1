"""Two pictures of the report: throughput as a share of bare-ASGI hello, and what overload does."""

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.report import Report
from benchmarks.harness.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARES = {
    "afternoon": "afternoon FastAPI app",
    "fastapi": "FastAPI hello",
    "json": "Slipway, V2 JSON",
    "binary": "Slipway, V2 binary",
    "two.json": "Slipway, V2 JSON, 2 front ends",
}
_GREY, _LIGHT, _BLUE, _GREEN, _ORANGE = "#8c8c8c", "#bfbfbf", "#2f6db3", "#3a9a6b", "#d98032"


def draw(report: Report, folder: Path) -> list[Path]:
    """Draws what there are figures for; returns the files."""
    import matplotlib as mpl

    mpl.use("Agg")
    rows = {
        f"{chapter.name}/{row.promise.key}": row
        for chapter in report.chapters
        for row in chapter.rows
        if row.samples
    }
    drawn = [
        _throughput(rows, report, folder / "throughput.png"),
        _overload(rows, report, folder / "overload.png"),
    ]
    return [path for path in drawn if path is not None]


def _throughput(rows: dict[str, Row], report: Report, target: Path) -> Path | None:
    from matplotlib import pyplot as plt

    counts = [n for n in (1, 16, 64) if f"mlp/json.{n}.of_hello" in rows]
    if not counts:
        return None
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    width = 0.8 / len(_SHARES)
    colours = (_GREY, _LIGHT, _BLUE, _GREEN, _ORANGE)
    for place, ((key, label), colour) in enumerate(zip(_SHARES.items(), colours, strict=True)):
        found = [rows.get(f"mlp/{key}.{n}.of_hello") for n in counts]
        heights = [row.value or 0.0 if row else 0.0 for row in found]
        spots = [index + (place - (len(_SHARES) - 1) / 2) * width for index in range(len(counts))]
        axes.bar(spots, heights, width * 0.9, label=label, color=colour, yerr=_spread(found))
    axes.set_xticks(
        range(len(counts)), [f"{n} connections" if n > 1 else "1 connection" for n in counts]
    )
    axes.set_ylabel("share of bare-ASGI hello")
    _finish(axes, "MLP 128→256→256→10, requests per second", report)
    axes.set_ylim(top=axes.get_ylim()[1] * 1.25)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    figure.savefig(target, dpi=130)
    plt.close(figure)
    return target


def _spread(found: "list[Row | None]") -> list[list[float]]:
    """Down to the lowest and up to the highest round."""
    down, up = [], []
    for row in found:
        value = row.value if row else None
        down.append(value - min(row.samples) if row and value is not None else 0.0)
        up.append(max(row.samples) - value if row and value is not None else 0.0)
    return [down, up]


def _overload(rows: dict[str, Row], report: Report, target: Path) -> Path | None:
    from matplotlib import pyplot as plt

    shares = [
        float(key.removeprefix("overload/").removesuffix(".goodput"))
        for key in rows
        if key.startswith("overload/") and key.endswith(".goodput") and "impatient" not in key
    ]
    if not shares:
        return None
    goodput, p99 = (
        [rows[f"overload/{share:g}.{what}"].value or 0.0 for share in shares]
        for what in ("goodput", "p99")
    )
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.plot(shares, goodput, "o-", color=_BLUE, label="good answers per second (left)")
    axes.set_xlabel("requests arriving, as a share of capacity")
    axes.set_ylabel("answers/s")
    axes.set_ylim(bottom=0)
    right = axes.twinx()
    right.plot(shares, p99, "s--", color=_ORANGE, label="their 99th percentile (right)")
    right.set_ylabel("ms")
    right.set_ylim(bottom=0)
    lines = [*axes.get_lines(), *right.get_lines()]
    _finish(axes, "Overload, open loop, a model of about 5 ms", report)
    axes.legend(lines, [str(line.get_label()) for line in lines], frameon=False, fontsize=8)
    figure.savefig(target, dpi=130)
    plt.close(figure)
    return target


def _finish(axes: "Axes", title: str, report: Report) -> None:
    machine = report.machine
    axes.set_title(f"{title}\n{machine.cpu}, {machine.cores:g} cores, {machine.commit}", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
