"""Requests that stand for their bucket: the trace of the newest sampled one, so that a point of a latency
panel leads to what happened. Only OpenMetrics has room for them.

At most one per bucket, whatever the traffic; a request that is not traced costs nothing.
"""

from bisect import bisect_left
from typing import NamedTuple

from service.observability.histogram import SECONDS

Dumped = list[list[float | str]]


class Exemplar(NamedTuple):
    """`at`: seconds since 1970. `value` is in the histogram's unit."""

    at: float
    value: float
    trace_id: str


class Exemplars:
    """By the number of the bucket, the last one above all bounds; of a histogram of the same `bounds`."""

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self._bounds = bounds
        self._newest: dict[int, Exemplar] = {}

    def observed(self, value: float, trace_id: str, at: float) -> None:
        self._newest[bisect_left(self._bounds, value)] = Exemplar(at, value, trace_id)

    def of(self, bucket: int) -> Exemplar | None:
        return self._newest.get(bucket)

    def dump(self) -> Dumped:
        return [[bucket, *exemplar] for bucket, exemplar in self._newest.items()]

    def add(self, dumped: Dumped) -> None:
        """Another front end's; the newer ones stay."""
        for bucket, at, value, trace_id in dumped:
            other = Exemplar(float(at), float(value), str(trace_id))
            self._newest[int(bucket)] = max(self._newest.get(int(bucket), other), other)
