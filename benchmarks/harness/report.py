"""What was measured, written down: JSON for programs and comparisons, Markdown for people."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import Machine
from benchmarks.harness.rows import Row

FORMAT = 1
_BUSY_SHARE = 0.1  # beyond it the report warns


@dataclass(frozen=True)
class Chapter:
    """One scenario's share of the report."""

    name: str
    title: str
    rows: Sequence[Row]
    raw: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0


@dataclass(frozen=True)
class Report:
    machine: Machine
    command: str
    seconds: float
    rounds: int
    chapters: Sequence[Chapter]
    load_average_after: tuple[float, float, float]
    took_s: float
    stopped: str = ""

    def write(self, folder: Path) -> None:
        """`report.json` and `report.md`."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_finite(self._plain()), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "report.json").write_text(text + "\n")
        (folder / "report.md").write_text(self.markdown())

    def markdown(self) -> str:
        rows = [row for chapter in self.chapters for row in chapter.rows]
        judged = [row for row in rows if row.is_met is not None]
        missed = [row for row in judged if not row.is_met]
        open_rows = [row for row in rows if not row.samples]
        lines = ["# Benchmark report", "", *self._conditions(), "", "## In short", ""]
        lines += [f"{len(judged) - len(missed)} of {len(judged)} targets are met."]
        lines += ["", *(f"- {row.promise.what}: {_figure(row)}, {row.verdict}" for row in missed)]
        if open_rows:
            lines += ["", f"Without a figure: {len(open_rows)} of {len(rows)} rows, see below."]
        for chapter in self.chapters:
            lines += ["", *_chapter(chapter)]
        return "\n".join(lines) + "\n"

    def _conditions(self) -> list[str]:
        machine = self.machine
        versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
        before, after = (
            ", ".join(f"{load:.2f}" for load in loads)
            for loads in (machine.load_average, self.load_average_after)
        )
        lines = [
            f"- machine: {machine.cpu}, {machine.cores:g} usable cores, {machine.memory_gib:g} GiB, "
            f"{machine.system}",
            f"- commit: {machine.commit}; date: {machine.date}",
            f"- command: `{self.command}`; {self.rounds} rounds, {self.seconds:g} s each; took "
            f"{self.took_s / 60:.1f} minutes",
            f"- versions: {versions}",
            f"- load average before: {before}; after: {after}; others used "
            f"{machine.busy_share:.0%} of the processor before the first measurement",
        ]
        if machine.busy_share > _BUSY_SHARE:
            lines.append(
                "- **the machine was not quiet: ratios may be used, absolute figures not**"
            )
        if self.stopped:
            lines.append(f"- **not complete: {self.stopped}**")
        return lines

    def _plain(self) -> dict[str, Any]:
        chapters = [
            {
                "name": chapter.name,
                "title": chapter.title,
                "took_s": round(chapter.took_s, 1),
                "facts": chapter.facts,
                "rows": [_plain_row(row) for row in chapter.rows],
                "samples": chapter.raw,
            }
            for chapter in self.chapters
        ]
        return {
            "format": FORMAT,
            "machine": asdict(self.machine),
            "command": self.command,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "took_s": round(self.took_s, 1),
            "load_average_after": self.load_average_after,
            "stopped": self.stopped,
            "chapters": chapters,
        }


def _finite(value: Any) -> Any:
    """JSON has no word for a percentile of nothing but null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value


def _plain_row(row: Row) -> dict[str, Any]:
    return {
        **asdict(row.promise),
        "value": row.value,
        "samples": row.samples,
        "is_met": row.is_met,
        "verdict": row.verdict,
        "note": row.note,
    }


def _chapter(chapter: Chapter) -> list[str]:
    lines = [f"## {chapter.title}", ""]
    lines += [f"{name}: {fact}.  " for name, fact in chapter.facts.items()]
    if chapter.facts:
        lines.append("")
    lines += ["| what | measured | lowest – highest | target | verdict |", "|---|---|---|---|---|"]
    for row in chapter.rows:
        lowest_highest = (
            f"{number(min(row.samples))} – {number(max(row.samples))}"
            if len(row.samples) > 1
            else ""
        )
        verdict = row.verdict if row.is_met is not False else f"**{row.verdict}**"
        cells = (row.promise.what, _figure(row), lowest_highest, row.promise.target, verdict)
        lines.append(f"| {' | '.join(cell.replace('|', '∣') for cell in cells)} |")
    return lines


def _figure(row: Row) -> str:
    return "–" if row.value is None else f"{number(row.value)} {row.promise.unit}".strip()


def number(value: float) -> str:
    """Three digits that matter, thousands with a comma; near one, enough to tell 0.99996 from 1."""
    if math.isnan(value):
        return "none"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if 0.999 <= value < 1:
        return f"{value:.6f}"
    return f"{value:.3g}"
