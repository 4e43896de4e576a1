"""A measured target: kept, or dropped with the reason; and the table that shows all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.manifest import Evaluation, Variant
from models.sizes import human_bytes
from training.optimizing.targets import Target
from training.optimizing.timing import Speed
from training.report import Reporter, figure


@dataclass(frozen=True)
class Verdict:
    """Kept when `reason` is empty. `variant` is None for what could not even be made or run. `detail`: how
    the file came about."""

    target: Target
    reason: str
    variant: Variant | None = None
    cosine: float | None = None
    detail: str = ""

    @property
    def is_kept(self) -> bool:
        return not self.reason

    @property
    def words(self) -> str:
        said = f"dropped: {self.reason}" if self.reason else "kept"
        return f"{said} ({self.detail})" if self.detail else said


@dataclass(frozen=True)
class Reference:
    """The row that all others are compared with."""

    size_bytes: int
    speed: Speed
    evaluation: tuple[Evaluation, ...]


def show(reference: Reference, verdicts: Sequence[Verdict], report: Reporter) -> None:
    """One aligned table. Items per second are of the best batch size."""
    batches = tuple(reference.speed.latency_ms)
    has_cosine = any(verdict.cosine is not None for verdict in verdicts)
    has_rate = bool(reference.speed.throughput)
    delta = f"Δ {reference.evaluation[0].metric}" if reference.evaluation else "Δ metric"
    head = (
        "target",
        "size",
        delta,
        "95 % interval",
        "max |Δ output|",
        *(("cosine",) if has_cosine else ()),
        *(f"ms, batch {batch}" for batch in batches),
        *(("items/s",) if has_rate else ()),
        "verdict",
    )
    speed = _speed(reference.speed, batches, has_rate=has_rate)
    cosine = ("–",) if has_cosine else ()
    size = human_bytes(reference.size_bytes)
    rows = [("onnxruntime:fp32", size, "–", "–", "–", *cosine, *speed, "reference")]
    rows += [
        _row(verdict, batches, has_cosine=has_cosine, has_rate=has_rate) for verdict in verdicts
    ]
    report.table(head, rows)


def _row(
    verdict: Verdict, batches: Sequence[int], *, has_cosine: bool, has_rate: bool
) -> tuple[str, ...]:
    variant = verdict.variant
    cosine = ("–" if verdict.cosine is None else f"{verdict.cosine:.5f}",) if has_cosine else ()
    if variant is None:
        speed = _speed(Speed(), batches, has_rate=has_rate)
        figures: tuple[str, ...] = ("–",) * 4
    else:
        speed = _speed(Speed(variant.latency_ms, variant.throughput), batches, has_rate=has_rate)
        interval = variant.accuracy_interval
        figures = (
            human_bytes(variant.size_bytes) if variant.file else "–",
            f"{variant.accuracy_delta:+.4f}",
            f"{interval.low:+.4f} – {interval.high:+.4f}" if interval else "–",
            figure(variant.max_difference),
        )
    return (verdict.target.name, *figures, *cosine, *speed, verdict.words)


def _speed(speed: Speed, batches: Sequence[int], *, has_rate: bool) -> tuple[str, ...]:
    ms = tuple(f"{speed.latency_ms[b]:.2f}" if b in speed.latency_ms else "–" for b in batches)
    rate = max(speed.throughput.values(), default=None)
    return ms + (("–" if rate is None else f"{rate:,.0f}",) if has_rate else ())
