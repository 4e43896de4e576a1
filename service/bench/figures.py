"""What the exchanges of one load mean: rates over its window, and percentiles of what callers waited for.

Moments are sampled by the window they fall in, whichever requests they belong to: a first token counts
where it came, a gap where it ended, an answer where it was complete. That leaves out nobody for being slow.
Only an open loop's latencies are those of the requests that arrived in the window, however late they end.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from service.bench.exchange import Exchange
from service.bench.loops import Measured

UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Spread:
    """Milliseconds; NaN of nothing."""

    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        ordered = sorted(seconds)
        return cls(*(percentile(ordered, share) * 1e3 for share in (0.50, 0.95, 0.99)))


@dataclass(frozen=True)
class Figures:
    """`asked`: requests begun (open loop: meant) in the window; `requests`: good answers in it. Token
    figures are zero and NaN where no text is written. `late`: how late the load generator itself sent;
    large values mean that it was the bottleneck."""

    seconds: float
    asked: int
    requests: int
    requests_per_s: float
    output_tokens_per_s: float
    prompt_tokens_per_s: float
    prompt_tokens: float
    cached_tokens: float
    time_to_first_token: Spread
    between_tokens: Spread
    whole_answer: Spread
    late: Spread
    errors: dict[str, int] = field(default_factory=dict)


def figures(measured: Measured, *, is_open: bool) -> Figures:
    start, end = measured.start_s, measured.end_s
    seconds = max(end - start, 1e-9)
    everything = measured.exchanges
    ended = [each for each in everything if each.is_ended and start <= each.ended_s < end]
    good = [each for each in ended if each.is_good]
    counted = [each for each in everything if start <= each.intended_s < end]
    waited = [each for each in counted if each.is_good] if is_open else good
    written = sum(
        each.tokens_per_event * sum(start <= moment < end for moment in each.token_s)
        for each in everything
    )
    return Figures(
        seconds=seconds,
        asked=len(counted),
        requests=len(good),
        requests_per_s=len(good) / seconds,
        output_tokens_per_s=written / seconds,
        prompt_tokens_per_s=sum(each.prompt_tokens for each in good) / seconds,
        prompt_tokens=_mean(each.prompt_tokens for each in good),
        cached_tokens=_mean(each.cached_tokens for each in good),
        time_to_first_token=Spread.of(
            _first_tokens(counted if is_open else everything, measured, is_open)
        ),
        between_tokens=Spread.of(list(_gaps(everything, start, end))),
        whole_answer=Spread.of([each.ended_s - each.intended_s for each in waited]),
        late=Spread.of([each.sent_s - each.intended_s for each in counted if each.sent_s]),
        errors=_errors(ended, counted, is_open=is_open),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the sorted values that at least `share` of all do not exceed. NaN of nothing."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _first_tokens(exchanges: Iterable[Exchange], measured: Measured, is_open: bool) -> list[float]:
    return [
        each.token_s[0] - each.intended_s
        for each in exchanges
        if each.token_s and (is_open or measured.start_s <= each.token_s[0] < measured.end_s)
    ]


def _gaps(exchanges: Iterable[Exchange], start: float, end: float) -> Iterable[float]:
    for each in exchanges:
        yield from (
            after - before for before, after in pairwise(each.token_s) if start <= after < end
        )


def _errors(ended: list[Exchange], counted: list[Exchange], *, is_open: bool) -> dict[str, int]:
    """Most frequent first. In a closed loop the last requests are given up on purpose."""
    found = Counter(each.error for each in (counted if is_open else ended) if each.error)
    if is_open:
        found[UNFINISHED] = sum(not each.is_ended for each in counted)
    return {error: count for error, count in found.most_common() if count}


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan
