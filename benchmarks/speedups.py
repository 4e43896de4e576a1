"""`python -m benchmarks.speedups`: the table of speed-ups in README.md, from what was measured.

    python -m benchmarks --only optimization --results benchmarks/results/optimization
    python -m benchmarks.speedups

Between `<!-- speedups -->` and `<!-- /speedups -->` stands what this wrote; a test compares both.
"""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.graphs.optimized_models import MODELS, Model
from benchmarks.harness.options import ROOT

REPORT = ROOT / "benchmarks" / "results" / "optimization" / "report.json"
PAGE = ROOT / "README.md"
_BLOCK = re.compile(r"(<!-- speedups -->\n).*?(<!-- /speedups -->)", re.DOTALL)
_WAYS = {"auto": "auto", "plain": "auto without openvino"}
_HEAD = (
    "model", "as exported", "chosen by itself", "speed-up", "accuracy", "without OpenVINO", "speed-up",
    "accuracy",
)  # fmt: skip

Row = Mapping[str, Any]


def main() -> int:
    PAGE.write_text(filled(PAGE.read_text(), json.loads(REPORT.read_text())))
    return 0


def filled(page: str, report: Row) -> str:
    """Raises ValueError for a page without the marks."""
    if not _BLOCK.search(page):
        raise ValueError("no <!-- speedups --> … <!-- /speedups --> in the page")
    return _BLOCK.sub(lambda match: f"{match[1]}{text(report)}\n{match[2]}", page)


def text(report: Row) -> str:
    """The table, and on what it was measured."""
    [chapter] = [one for one in report["chapters"] if one["name"] == "optimization"]
    rows = {row["key"]: row for row in chapter["rows"]}
    lines = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    lines += [f"| {' | '.join(_line(model, rows, chapter['facts']))} |" for model in MODELS]
    machine = report["machine"]
    lines += [
        "",
        f"{machine['cpu']}, {machine['cores']:g} cores, {machine['date'][:10]}, commit {machine['commit']}: "
        f"`{report['command']}`. Medians of rounds that took turns, in brackets the lowest and the highest.",
    ]
    return "\n".join(lines)


def _line(model: Model, rows: Mapping[str, Row], facts: Mapping[str, str]) -> list[str]:
    cells = [f"{model.title}, {model.connections} callers", _rate(rows[f"{model.key}.fp32"])]
    for way, name in _WAYS.items():
        chosen = facts.get(f"{model.title}, {name}", "–").partition(":")[0]
        accuracy = _accuracy(model, rows[f"{model.key}.{way}.budget"])
        cells += [chosen, _times(rows[f"{model.key}.{way}"]), accuracy]
    return cells


def _rate(row: Row) -> str:
    return (
        "–"
        if row["value"] is None
        else f"{row['value']:,.{0 if row['value'] >= 100 else 1}f} items/s"
    )


def _times(row: Row) -> str:
    """Whether that is what was wanted is told, too."""
    if row["value"] is None:
        return str(row["note"] or "–")
    wanted = "" if row["at_least"] is None else f"; wanted {row['at_least']:g}"
    low, high = min(row["samples"]), max(row["samples"])
    return f"**{row['value']:.2f}** ({low:.2f}–{high:.2f}{wanted})"


def _accuracy(model: Model, row: Row) -> str:
    if row["value"] is None:
        return "–"
    if model.is_judged_by_labels:
        return f"{0 - 100 * row['value']:+.2f} points"
    return f"cosine {row['value']:.5f}"


if __name__ == "__main__":
    sys.exit(main())
