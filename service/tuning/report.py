"""What was found, for people: a row per setting and load, the best compromises marked, failures beneath."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.manifest import Manifest
from models.sizes import human_bytes
from service.tuning.accuracy import accuracy_of, metric_of
from service.tuning.objective import Objective
from service.tuning.outcome import Outcome
from service.tuning.pareto import front
from service.tuning.plan import MeasuredLoad
from service.tuning.space import Setting, precision

CHOSEN, ON_FRONT = "→", "*"
LEGEND = (
    "→ best for what was wanted   * nothing is better in one column without being worse in another"
)


@dataclass(frozen=True)
class Row:
    """One setting under one load."""

    setting: Setting
    load: MeasuredLoad
    loss: float
    accuracy: str
    is_on_front: bool = False
    is_chosen: bool = False

    @property
    def outcome(self) -> tuple[float, ...]:
        """Larger is better: throughput, waiting, memory, accuracy; errors count as no answers."""
        load = self.load
        answered = load.p99_ms is not None and load.error_share == 0
        waited_ms = load.p99_ms if answered and load.p99_ms is not None else float("inf")
        rate = load.requests_per_s if answered else 0.0
        return (rate, -waited_ms, -float(load.memory_bytes), -self.loss)

    @property
    def mark(self) -> str:
        return CHOSEN if self.is_chosen else ON_FRONT if self.is_on_front else ""


def rows_of(
    outcomes: Sequence[Outcome], manifest: Manifest, chosen: tuple[Setting, int] | None
) -> list[Row]:
    """Every setting and load that was measured, the most answers first. `chosen`: setting and load."""
    rows = []
    for outcome in outcomes:
        accuracy = accuracy_of(manifest, outcome.setting.choice)
        rows += [Row(outcome.setting, load, accuracy.loss, accuracy.text) for load in outcome.loads]
    best = set(front([row.outcome for row in rows]))
    marked = [
        Row(
            row.setting,
            row.load,
            row.loss,
            row.accuracy,
            index in best,
            (row.setting, row.load.concurrency) == chosen,
        )
        for index, row in enumerate(rows)
    ]
    return sorted(marked, key=lambda row: -row.load.requests_per_s)


_Column = tuple[str, Callable[[Row], str]]


def table(rows: Sequence[Row], manifest: Manifest) -> str:
    """Aligned; a column in which all rows say nothing is left out."""
    metric = metric_of(manifest)
    columns: list[_Column] = [
        ("", lambda row: row.mark),
        ("runtime", lambda row: row.setting.choice.runtime),
        ("precision", lambda row: precision(row.setting.choice)),
        ("workers×threads", lambda row: str(row.setting.shape)),
        ("batch", lambda row: str(row.setting.max_batch_size)),
        ("delay ms", lambda row: _delay(row.setting)),
        ("lengths", lambda row: " ".join(map(str, row.setting.length_buckets))),
        ("callers", lambda row: str(row.load.concurrency)),
        ("requests/s", lambda row: number(row.load.requests_per_s)),
        ("p50 ms", lambda row: _ms(row.load.p50_ms)),
        ("p99 ms", lambda row: _ms(row.load.p99_ms)),
        ("errors", lambda row: f"{row.load.error_share:.1%}" if row.load.error_share else ""),
        ("memory", lambda row: human_bytes(row.load.memory_bytes) if row.load.memory_bytes else ""),
        (f"Δ {metric or 'accuracy'}", lambda row: row.accuracy),
    ]
    return aligned([(title, [cell(row) for row in rows]) for title, cell in columns])


def aligned(columns: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Words to the left, figures to the right."""
    shown = [(title, cells) for title, cells in columns if any(cells)]
    widths = [max(len(title), *map(len, cells)) for title, cells in shown]
    texts = [_is_text(cells) for _, cells in shown]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if is_text else cell.rjust(width)
            for cell, width, is_text in zip(cells, widths, texts, strict=True)
        )
        return "  ".join(padded).rstrip()

    titles = [title for title, _ in shown]
    return "\n".join([line(titles), *map(line, zip(*(cells for _, cells in shown), strict=True))])


def told(rows: Sequence[Row], start: Setting, *, everything: bool) -> list[Row]:
    """The front, the choice and where the search began; everything, if wanted."""
    return [row for row in rows if everything or row.mark or row.setting == start]


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    """A line per setting that could not be served, the same reason once."""
    found: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.failure:
            found.setdefault(outcome.failure, outcome.setting.label)
    return [f"not served: {label}: {why}" for why, label in found.items()]


def summary(outcome: Outcome, objective: Objective) -> str:
    """One outcome in a line."""
    if outcome.failure:
        return outcome.failure
    load = objective.best_load(outcome)
    if load is None or load.p99_ms is None:
        return "no answers"
    callers = f"{load.concurrency} caller{'s' if load.concurrency > 1 else ''}"
    text = f"{number(load.requests_per_s)} requests/s, p99 {number(load.p99_ms)} ms at {callers}"
    return text + (f", {load.error_share:.1%} errors" if load.error_share else "")


def number(value: float) -> str:
    """Three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _ms(value: float | None) -> str:
    return "–" if value is None else number(value)


def _delay(setting: Setting) -> str:
    us = setting.max_queue_delay_microseconds
    return f"{us / 1e3:g}" if us else ""


def _is_text(cells: Sequence[str]) -> bool:
    return any(cell and not cell.strip("+-–−").replace(",", "")[:1].isdigit() for cell in cells)
