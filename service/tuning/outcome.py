"""What one trial of a setting gave: a figure per load, the memory it took, or why it could not be served."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from service.tuning.plan import MeasuredLoad
from service.tuning.space import Setting


@dataclass(frozen=True)
class Outcome:
    """`seconds`: of each load. `loads` ascend by concurrency; empty when it failed."""

    setting: Setting
    seconds: float
    loads: tuple[MeasuredLoad, ...] = ()
    failure: str = ""

    @classmethod
    def merged(cls, rounds: Sequence["Outcome"]) -> "Outcome":
        """Of the same setting: medians per load, the seconds together; the worst share of errors. One
        failure is the whole's."""
        for each in rounds:
            if each.failure:
                return each
        first = rounds[0]
        loads = [_median(found) for found in zip(*(each.loads for each in rounds), strict=True)]
        return cls(first.setting, sum(each.seconds for each in rounds), tuple(loads))


def _median(found: Sequence[MeasuredLoad]) -> MeasuredLoad:
    def middle(name: str) -> float | None:
        known = [getattr(load, name) for load in found if getattr(load, name) is not None]
        return median(known) if known else None

    return MeasuredLoad(
        concurrency=found[0].concurrency,
        requests_per_s=median(load.requests_per_s for load in found),
        p50_ms=middle("p50_ms"),
        p95_ms=middle("p95_ms"),
        p99_ms=middle("p99_ms"),
        error_share=max(load.error_share for load in found),
        memory_bytes=max(load.memory_bytes for load in found),
    )
