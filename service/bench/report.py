"""Figures for people (one aligned column per load) and for programs (JSON)."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from service.bench.figures import Figures, Spread


@dataclass(frozen=True)
class Point:
    """One load and what came of it. `concurrency` or `rate` is set."""

    figures: Figures
    concurrency: int | None = None
    rate: float | None = None
    was_interrupted: bool = False

    @property
    def is_open(self) -> bool:
        return self.rate is not None

    @property
    def label(self) -> str:
        return f"{self.rate:g}/s" if self.is_open else str(self.concurrency)


def table(points: Sequence[Point], *, generates: bool) -> str:
    """Rows are measures, columns loads."""
    first = points[0]
    rows = [("arrivals" if first.is_open else "concurrency", [point.label for point in points])]
    found = [point.figures for point in points]
    rows += [("seconds", [_number(each.seconds) for each in found])]
    rows += [("requests", [str(each.asked) for each in found])]
    rows += [("good answers", [str(each.requests) for each in found])]
    rows += [("requests/s", [_number(each.requests_per_s) for each in found])]
    if generates:
        rows += [
            ("output tokens/s", [_number(each.output_tokens_per_s) for each in found]),
            ("prompt tokens/s", [_number(each.prompt_tokens_per_s) for each in found]),
            ("tokens of a prompt", [_number(each.prompt_tokens) for each in found]),
            ("of these cached", [_number(each.cached_tokens) for each in found]),
            *_spread("first token", [each.time_to_first_token for each in found]),
            *_spread("between tokens", [each.between_tokens for each in found]),
        ]
    rows += _spread("whole answer", [each.whole_answer for each in found])
    if first.is_open:
        rows += [("sent late, ms  p99", [_number(each.late.p99_ms) for each in found])]
    rows += [("errors", [str(sum(each.errors.values())) for each in found])]
    for error in dict.fromkeys(error for each in found for error in each.errors):
        rows += [(f"  {error}", [str(each.errors.get(error, 0)) for each in found])]
    return _aligned(rows)


def document(points: Sequence[Point], about: dict[str, object]) -> dict[str, Any]:
    """JSON's: what no figure has is null."""
    listed = [
        {
            "concurrency": point.concurrency,
            "rate": point.rate,
            "was_interrupted": point.was_interrupted,
            **asdict(point.figures),
        }
        for point in points
    ]
    whole: dict[str, Any] = _finite({**about, "points": listed})
    return whole


def _spread(name: str, spreads: Sequence[Spread]) -> list[tuple[str, list[str]]]:
    return [
        (f"{name}, ms  p50", [_number(spread.p50_ms) for spread in spreads]),
        ("p95", [_number(spread.p95_ms) for spread in spreads]),
        ("p99", [_number(spread.p99_ms) for spread in spreads]),
    ]


def _aligned(rows: Sequence[tuple[str, list[str]]]) -> str:
    left = max(len(name) for name, _ in rows)
    width = max(len(cell) for _, cells in rows for cell in cells) + 2
    lines = []
    for name, cells in rows:
        is_percentile = name.startswith("p9")
        shown = name.rjust(left) if is_percentile or ", ms" in name else name.ljust(left)
        lines.append(shown + "".join(cell.rjust(width) for cell in cells))
    return "\n".join(lines)


def _number(value: float) -> str:
    """Three digits that matter; a dash for nothing."""
    if math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
