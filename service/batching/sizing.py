"""How large the next batch is to be, by the cost curve: who may join, and when it is large enough.

Joining a batch saves a request the fixed part of a run and its way to a worker; it costs the padding that
it brings, the wait of those that are in the batch already, and, where the curve bends upwards, more. So:

- Rows of equal size: as many as bring a row's cost within a tenth of the least it can be. Beyond that
  requests would only wait for each other.
- Rows of different length: the one that waits longest leads; another joins when it saves at least three
  quarters of what company of its very own length would save it (under load, it would soon have found that),
  and as long as what it saves is more than a tenth of the batch that it joins.
- Free workers share what waits, where that is worth several ways to a worker.
- A target for the latency bounds the run (`service.batching.latency`).
"""

import math
from bisect import bisect_right
from typing import NamedTuple

from service.batching.cost import CostCurve
from service.batching.ticket import Ticket

TRIP_S = 0.0002
"""The way to a worker and back, in CPU time of both sides: saved as well when requests share a run."""

_GAIN = 10.0
"""A batch may grow until its fixed part is a tenth of the rest: beyond that, less than 10 % is to be had."""

_TRIAL_S = 0.02
"""While only one size was seen, a batch may take this long: enough to learn from, and nobody waits for
long. Where that one size takes longer, smaller batches are tried, and larger ones when that cannot be."""

_COMPANY = 0.75


class Bounds(NamedTuple):
    """Of one batch: `most_work` for free workers to get their share, `most_s` that it may take."""

    most_work: float = math.inf
    most_s: float = math.inf


UNBOUND = Bounds()


class _Sizes(NamedTuple):
    """For rows of one length. `sizes` ascending, `least[i]`: the size up to `sizes[i]` at which a row costs
    least, `cost_s[i]` what it costs there; `enough`: from here on more rows gain less than a tenth."""

    version: int
    sizes: tuple[int, ...]
    least: list[int]
    cost_s: list[float]
    enough: int


class Sizing:
    """`most_rows` of any batch. `learns`: false where somebody said how large batches are to be. `bound`:
    what kept the last batch from being larger: size, tokens, share, cost or target."""

    def __init__(self, curve: CostCurve, most_rows: int, *, learns: bool = True) -> None:
        self.curve = curve
        self._most_rows = most_rows
        self.learns = learns
        self._sizes: dict[float, _Sizes] = {}
        self._candidates = tuple(_candidates(most_rows))
        self._alone: dict[tuple[int, float], tuple[float, float]] = {}
        self._version = 0
        self.bound = "size"

    def rows(self, waiting: int, length: float, bounds: Bounds = UNBOUND) -> int:
        """How many of `waiting` equal rows make the next batch, at least one."""
        rows = min(waiting, self._most_rows)
        self.bound = "size"
        if rows < 2:
            return 1
        curve = self.curve
        if bounds.most_work < rows * length:
            rows = max(int(bounds.most_work / length), 1)
            self.bound = "share"
        if not curve.is_known:
            if rows * length > (most := self.trial_work()):
                rows = max(int(most / length), 1)
                self.bound = "cost"
            return rows
        if self.learns:
            paying = self._paying(rows, length)
            if paying < rows:
                rows, self.bound = paying, "cost"
        if bounds.most_s < math.inf:
            within = self._within(rows, length, bounds.most_s)
            if within < rows:
                rows, self.bound = within, "target"
        return rows

    def _paying(self, rows: int, length: float) -> int:
        """As many of `rows` as bring what one costs close to the least."""
        found = self._sizes_at(length)
        rows = min(rows, found.enough)
        place = bisect_right(found.sizes, rows) - 1
        cost_s = (self.curve.run_s(rows, length) + TRIP_S) / rows
        return found.least[place] if found.cost_s[place] * (1 + 1 / _GAIN) < cost_s else rows

    def joins(self, batch_s: float, joined_s: float, ticket: Ticket) -> bool:
        """Whether a ticket joins a batch that takes `batch_s` without it and `joined_s` with it."""
        alone_s, wanted_s = self._alone_of(ticket.rows, ticket.work / (ticket.rows or 1))
        saved_s = alone_s + batch_s - joined_s
        return saved_s >= wanted_s and batch_s <= (_GAIN + 1) * saved_s

    def is_worth_parting(self, rows: int, length: float) -> bool:
        """Their run takes so long that a few more ways to a worker do not matter."""
        return self.curve.is_known and self.curve.run_s(rows, length) > _GAIN * TRIP_S

    def share(self, work: float, workers: int) -> float:
        """The part of the waiting `work` that one of `workers` free ones should take.

        All of it, unless it is worth several trips; then what waits is spread, because a free worker
        beside a long batch is throughput and time lost.
        """
        worth = self.curve.unit_s * work / (_GAIN * TRIP_S)
        return work / max(1, min(workers, math.floor(worth)))

    def trial_work(self) -> float:
        """How large a batch may be while little is known of what it will cost."""
        curve = self.curve
        unit_s = curve.unit_s
        if not unit_s or not self.learns:
            return math.inf
        # Two runs alike: what waits, or a request that cannot be cut, forbids one of the directions.
        grows = curve.last_work == curve.previous_work and curve.runs % 2
        return max(_TRIAL_S / unit_s, curve.last_work * (2 if grows else 0.5))

    def _alone_of(self, rows: int, length: float) -> tuple[float, float]:
        """What they would cost alone, and what they must save to join."""
        curve = self.curve
        if self._version != curve.version:
            self._alone.clear()
            self._version = curve.version
        found = self._alone.get((rows, length))
        if found is None:
            run_s = curve.run_s(rows, length)
            alone_s = run_s + TRIP_S
            best_s = alone_s - max(curve.run_s(2 * rows, length) - run_s, 0.0)
            # Where company of its own length saves nothing, no other does.
            wanted_s = max(_COMPANY * best_s, 0.0) if best_s > 0 else math.inf
            found = self._alone[rows, length] = (alone_s, wanted_s)
        return found

    def _sizes_at(self, length: float) -> _Sizes:
        curve = self.curve
        found = self._sizes.get(length)
        if found is not None and found.version == curve.version:
            return found
        if len(self._sizes) > 64:
            self._sizes.clear()
        sizes = self._candidates
        costs = [(curve.run_s(rows, length) + TRIP_S) / rows for rows in sizes]
        least, cost_s = [], []
        best = 0
        for place, cost in enumerate(costs):
            if cost < costs[best]:
                best = place
            least.append(sizes[best])
            cost_s.append(costs[best])
        # What a row costs once the fixed part is spread over endlessly many.
        last, half = sizes[-1], sizes[len(sizes) // 2]
        if last > half:
            slope_s = (curve.run_s(last, length) - curve.run_s(half, length)) / (last - half)
            limit_s = min(cost_s[-1], max(slope_s, 0.0)) * (1 + 1 / _GAIN)
        else:
            limit_s = cost_s[-1]
        enough = next((s for s, cost in zip(sizes, costs, strict=True) if cost <= limit_s), last)
        found = self._sizes[length] = _Sizes(curve.version, sizes, least, cost_s, enough)
        return found

    def _within(self, rows: int, length: float, most_s: float) -> int:
        """The most of `rows` that run within `most_s`; at least one."""
        if self.curve.run_s(rows, length) + TRIP_S <= most_s:
            return rows
        low, high = 1, rows
        while high - low > 1:
            middle = (low + high) // 2
            if self.curve.run_s(middle, length) + TRIP_S <= most_s:
                low = middle
            else:
                high = middle
        return low


def _candidates(most_rows: int) -> list[int]:
    sizes = list(range(1, min(most_rows, 16) + 1))
    while sizes[-1] < most_rows:
        sizes.append(min(sizes[-1] + max(sizes[-1] // 4, 1), most_rows))
    return sizes
