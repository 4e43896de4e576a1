"""What a run of one model costs, measured while it serves: how large a batch still pays.

A run takes about `fixed + slope · work` seconds; work is rows, or tokens where rows differ in length.
Joining a batch saves a request one `fixed` and costs its padding. So a batch is worth growing while the
fixed part is a noticeable share of it, and padding is worth adding while it takes less than it saves.
Where the fixed part is next to nothing (convolutions, long texts on a CPU) batches stay small, and free
workers share what waits; where it dominates (small graphs, a GPU) nothing limits them here.

Measured for MiniLM-L6 on one CPU thread: 1.3 ms + 0.128 ms per token. Eight texts of 12 tokens take
half as long in one batch as alone; eight of 64 tokens gain 15 %, eight of 128 lose 1 %, sixteen 3 %.
"""

import math

_TRIP_S = 0.0002
"""The way to a worker and back, in CPU time of both sides: saved as well when requests share a run."""

_GAIN = 10.0
"""A batch may grow until its fixed part is a tenth of the rest: beyond that, less than 10 % is to be had."""

_TRIAL_S = 0.02
"""While only one size was seen, a batch may take this long: enough to learn from, and nobody waits for
long. Where that one size takes longer, smaller batches are tried, and larger ones when that cannot be."""

_MARGIN = 4

_MEMORY = 0.99  # per run: what was measured a few hundred runs ago has faded
_LEAST_SPREAD = 0.01  # relative variance of the sizes seen, from which a slope can be told
_LEAST_RUNS = 6  # two runs that a busy machine disturbed would tell any slope


class BatchCost:
    """Least squares over (work, seconds) with fading memory. No clock: times are given."""

    __slots__ = ("_is_odd", "_last", "_least_s", "_previous", "_weight", "_x", "_xx", "_xy", "_y")

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0
        self._last = self._previous = 0.0
        self._least_s = math.inf
        self._is_odd = False

    def record(self, work: float, seconds: float) -> None:
        """A run of `work` took `seconds` in the graph."""
        self._weight = self._weight * _MEMORY + 1.0
        self._x = self._x * _MEMORY + work
        self._y = self._y * _MEMORY + seconds
        self._xx = self._xx * _MEMORY + work * work
        self._xy = self._xy * _MEMORY + work * seconds
        self._previous, self._last = self._last, work
        self._is_odd = not self._is_odd
        self._least_s = min(seconds, self._least_s / _MEMORY)

    @property
    def is_known(self) -> bool:
        """Runs of different sizes were seen, and enough of them."""
        spread = self._weight * self._xx - self._x**2
        return self._weight > _LEAST_RUNS - 1 and spread > _LEAST_SPREAD * self._x**2

    @property
    def slope_s(self) -> float:
        """Seconds per unit of work; an upper bound while only one size was seen. 0: none was."""
        if not self._x:
            return 0.0
        if not self.is_known:
            return self._y / self._x
        covariance = self._weight * self._xy - self._x * self._y
        return max(covariance / (self._weight * self._xx - self._x**2), 0.0)

    @property
    def fixed_s(self) -> float:
        """Seconds that a run costs whatever its size, the trip included."""
        if not self.is_known:
            return _TRIP_S
        intercept = (self._y - self.slope_s * self._x) / self._weight
        return _TRIP_S + min(max(intercept, 0.0), self._least_s)

    def most_work(self) -> float:
        """Beyond this a batch does not pay: requests in it would only wait for each other."""
        slope_s = self.slope_s
        if not slope_s:
            return math.inf
        if self.is_known:
            return _GAIN * self.fixed_s / slope_s
        # Two runs alike: what waits, or a request that cannot be cut, forbids one of the directions.
        grows = self._last == self._previous and self._is_odd
        return max(_TRIAL_S / slope_s, self._last * (2 if grows else 0.5))

    def spare_work(self) -> float | None:
        """How much padding one more request in a batch may bring; None while that is not known.

        A quarter of what its own run would have cost beyond its tokens: under load it would soon have
        found company of its own length. In simulated load that gave the most on CPU and GPU alike.
        """
        if not self.is_known:
            return None
        return self.fixed_s / self.slope_s / _MARGIN if self.slope_s else math.inf

    def share(self, work: float, workers: int) -> float:
        """The part of the waiting `work` that one of `workers` free ones should take.

        All of it, unless it is worth several trips; then what waits is spread, because a free worker
        beside a long batch is throughput and time lost.
        """
        worth = self.slope_s * work / (_GAIN * _TRIP_S)
        return work / max(1, min(workers, math.floor(worth)))
