"""What a run says while it works: stage headings, aligned tables, short lines.

The stages hand figures to a Reporter and never print themselves. On a terminal it is coloured and holds
one progress bar; elsewhere it is plain text without control characters, fit for a log file.
"""

import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from models.manifest import Evaluation, Gate

_LOG_WIDTH = 120  # columns when nobody's terminal says how wide it is


class Reporter:
    """Prints to `console`; by default to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _standard_console()
        self._began_s = time.monotonic()

    @property
    def is_live(self) -> bool:
        """True on a terminal, where a moving progress bar makes sense."""
        return self.console.is_terminal

    def stage(self, name: str, detail: str = "") -> None:
        """A heading with the seconds since the run began."""
        elapsed_s = time.monotonic() - self._began_s
        self.console.print(
            f"\n[bold]{escape(name)}[/bold]  [dim]{elapsed_s:.1f} s[/dim]  {escape(detail)}".rstrip(),
            highlight=False,
        )

    def line(self, text: str) -> None:
        self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """An aligned table; columns that hold figures alone are right-aligned."""
        cells = [[str(cell) for cell in row] for row in rows]
        columns = list(zip(head, *cells, strict=True))
        widths = [max(len(cell) for cell in column) for column in columns]
        numeric = [all(_is_figure(cell) for cell in column[1:]) for column in columns]
        for number, row in enumerate([head, *cells]):
            padded = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            )
            text = escape("  ".join(padded).rstrip())
            line = f"  [dim]{text}[/dim]" if number == 0 else f"  {text}"
            if text:
                self.console.print(line, highlight=False, soft_wrap=True)

    def evaluations(self, evaluations: Sequence[Evaluation]) -> None:
        self.table(
            ("metric", "value", "95 % interval", "n", "split", "baselines"),
            (evaluation_row(evaluation) for evaluation in evaluations),
        )
        for evaluation in evaluations:
            for sentence in lost_to(evaluation):
                self.line(f"Note: {sentence}")

    def gates(self, gates: Iterable[Gate]) -> None:
        self.table(
            ("gate", "measured", "limit", "verdict"),
            (
                (
                    gate.name,
                    figure(gate.measured),
                    f"{gate.comparison} {figure(gate.limit)}",
                    "passed" if gate.passed else "FAILED",
                )
                for gate in gates
            ),
        )


def evaluation_row(evaluation: Evaluation) -> tuple[str, ...]:
    """One Evaluation as table cells; the model card uses the same."""
    interval = evaluation.interval
    baselines = (f"{name} {figure(value)}" for name, value in evaluation.baselines.items())
    return (
        evaluation.metric,
        figure(evaluation.value),
        f"{figure(interval.low)} – {figure(interval.high)}" if interval else "–",
        f"{evaluation.samples:,}",
        f"{evaluation.dataset} {evaluation.split}",
        ", ".join(baselines) or "–",
    )


def lost_to(evaluation: Evaluation) -> list[str]:
    """One sentence for every simpler method that did better; nobody should have to spot it."""
    sign = 1 if evaluation.higher_is_better else -1
    return [
        f"{name} does better on this data: {evaluation.metric} {figure(value)} "
        f"against this model's {figure(evaluation.value)}."
        for name, value in evaluation.baselines.items()
        if sign * value > sign * evaluation.value
    ]


def figure(value: float) -> str:
    """Four decimals where they say something, powers of ten where they do not."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"


def shown(path: Path) -> str:
    """A path as a person would type it here: relative where that is possible."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _is_figure(cell: str) -> bool:
    return cell.lstrip("+-−<>=≤≥ ")[:1].isdigit() or cell == "–"


def _standard_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_LOG_WIDTH)
