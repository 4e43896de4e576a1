"""The cost curve of one model: rows × length → seconds of a run, measured while it serves.

Two parts. A line with a bend, `fixed + (unit + bend · length) · rows · length`, which every network follows
roughly (attention is what bends it) and which foretells sizes that were never run. And a small table of what
runs took over what the line says, by rows and by length, for what no line follows: kernels that work in
tiles, caches that overflow, engines with batch sizes of their own. In simulated load a straight line alone
does as well for most costs, but gets 0.57 of the throughput where an engine computes four rows at a time,
and 0.92 where attention dominates or a GPU waits for work (`tests/service/batching/simulated.py`).

A row's length is the product of its sizes that may be padded; where there are none, how many elements it has.
Fitted is the cost per unit of work, so that short runs count as much as long ones; old runs fade. No clock:
times are given.
"""

import math
from collections.abc import Mapping, Sequence

_MEMORY = 0.99  # per run: what was measured a few hundred runs ago has faded
_LEAST_SPREAD = 0.01  # relative variance from which on two influences can be told apart
_LEAST_RUNS = 6  # two runs that a busy machine disturbed would tell any line
_ODD = 2.5  # a run that takes so many times as long was disturbed; that much of it counts
_REFRESH_RUNS = 32  # the curve is computed anew
_FADE = 0.996  # of the table, per run
_DOUBT = 1.0  # runs that the line counts for, in a place of the table
_NEWS = 0.05  # that a run is worth in its place of the table, at least
_FORGOTTEN = 0.1
_EXACT = 8
_LAST_BUCKET = 60  # of 65,536 rows


class CostCurve:
    """`version` grows whenever the curve was computed anew, for who keeps what follows from it."""

    __slots__ = (
        "_cells",
        "_columns",
        "_line",
        "_refresh_at",
        "_sums",
        "_weight",
        "is_known",
        "last_work",
        "previous_work",
        "runs",
        "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self._weight = 0.0
        # Of u = 1 / work, l = length, z = seconds / work: Σu Σl Σz Σuu Σul Σll Σuz Σlz
        self._sums = (0.0,) * 8
        self._cells: dict[tuple[int, int], list[float]] = {}
        self._columns: dict[int, list[float]] = {}
        self._line = (0.0, 0.0, 0.0)
        self.is_known = False
        self.runs = 0
        self.version = 0
        self._refresh_at = 0
        self.last_work = self.previous_work = 0.0

    def record(self, rows: int, length: float, seconds: float) -> None:
        """A run of `rows` rows that were `length` long, padding included, took `seconds` in the graph."""
        work = rows * length or 1.0
        if self.is_known:
            seconds = min(seconds, _ODD * self.run_s(rows, length))
        u, z = 1.0 / work, seconds / work
        a, b, c, d, e, f, g, h = self._sums
        self._weight = self._weight * _MEMORY + 1.0
        self._sums = (
            a * _MEMORY + u,
            b * _MEMORY + length,
            c * _MEMORY + z,
            d * _MEMORY + u * u,
            e * _MEMORY + u * length,
            f * _MEMORY + length * length,
            g * _MEMORY + u * z,
            h * _MEMORY + length * z,
        )
        if self.is_known:
            self._correct(rows, length, seconds)
        self.previous_work, self.last_work = self.last_work, work
        self.runs += 1
        if self.runs >= self._refresh_at:
            self._refresh()

    def run_s(self, rows: float, length: float) -> float:
        """What a run of this size takes; 0 before anything was measured."""
        fixed_s, unit_s, bend_s = self._line
        seconds = fixed_s + (unit_s + bend_s * length) * rows * length
        column = self._columns.get(bucket(length) >> 1)
        return seconds if column is None else seconds * column[min(bucket(rows), _LAST_BUCKET)]

    @property
    def fixed_s(self) -> float:
        """Seconds that a run costs whatever its size; 0 while that cannot be told."""
        return self._line[0]

    @property
    def unit_s(self) -> float:
        """Seconds per unit of work at the usual length; an upper bound while only one size was seen."""
        if not self._weight:
            return 0.0
        return self._line[1] + self._line[2] * self._sums[1] / self._weight

    @property
    def usual_length(self) -> float:
        """Of the runs that were measured lately; 1 before."""
        return self._sums[1] / self._weight if self._weight else 1.0

    def _refresh(self) -> None:
        """After every run at first, after every 32 of them later."""
        self.version += 1
        self._refresh_at = self.runs + max(1, min(self.runs // 8, _REFRESH_RUNS))
        line = _fitted(self._weight, self._sums) if self.runs >= _LEAST_RUNS else None
        self.is_known = line is not None
        self._line = line or (0.0, self._sums[2] / self._weight, 0.0)
        self._columns = self._corrections() if self.is_known else {}

    def _correct(self, rows: int, length: float, seconds: float) -> None:
        fixed_s, unit_s, bend_s = self._line
        expected_s = fixed_s + (unit_s + bend_s * length) * rows * length
        ratio = seconds / expected_s if expected_s > 0.0 else 1.0
        place = (bucket(length) >> 1, bucket(rows))
        cell = self._cells.get(place)
        if cell is None:
            self._cells[place] = [1.0, ratio]
        else:
            cell[0] += 1.0
            cell[1] += max(1.0 / cell[0], _NEWS) * (ratio - cell[1])

    def _corrections(self) -> dict[int, list[float]]:
        """Length bucket → for every bucket of rows what the line must be multiplied by. Rows that were
        never seen at a length are supposed to err as the nearest that were."""
        columns: dict[int, dict[int, float]] = {}
        fade = math.pow(_FADE, self._refresh_at - self.runs)
        for place, cell in list(self._cells.items()):
            runs, ratio = cell
            columns.setdefault(place[0], {})[place[1]] = (runs * ratio + _DOUBT) / (runs + _DOUBT)
            cell[0] = min(runs, 1 / _NEWS) * fade
            if cell[0] < _FORGOTTEN:
                del self._cells[place]
        return {key: _filled(found) for key, found in columns.items()}


def _filled(found: Mapping[int, float]) -> list[float]:
    seen = sorted(found)
    column, at = [], 0
    for place in range(_LAST_BUCKET + 1):
        while at + 1 < len(seen) and abs(seen[at + 1] - place) <= abs(seen[at] - place):
            at += 1
        column.append(found[seen[at]])
    return column


def bucket(size: float) -> int:
    """Every size up to 8 by itself, then four to a doubling."""
    if size <= _EXACT:
        return int(size)
    whole = int(size) - 1
    bits = whole.bit_length()
    return 4 * bits - 8 + ((whole >> (bits - 3)) & 3) + 1


def _fitted(weight: float, sums: Sequence[float]) -> tuple[float, float, float] | None:
    """(fixed, per unit, per unit and length), none below zero, by least squares over the cost per unit; None
    while runs were too much alike to tell."""
    u, length, z, uu, ul, ll, uz, lz = (value / weight for value in sums)
    var_u, var_l, cov = uu - u * u, ll - length * length, ul - u * length
    with_u, with_l = uz - u * z, lz - length * z
    if var_u <= _LEAST_SPREAD * u * u:
        return None
    left = var_u * var_l - cov * cov
    if var_l > _LEAST_SPREAD * length * length and left > _LEAST_SPREAD * var_u * var_l:
        fixed = (with_u * var_l - with_l * cov) / left
        bend = (with_l * var_u - with_u * cov) / left
        unit = z - fixed * u - bend * length
        if min(fixed, unit, bend) >= 0.0:
            return fixed, unit, bend
        if fixed < 0.0 < bend:  # long runs cost more than their length, short ones nothing besides
            bend = max(with_l / var_l, 0.0)
            unit = z - bend * length
            return (0.0, unit, bend) if unit >= 0.0 else (0.0, 0.0, lz / ll)
    fixed = with_u / var_u
    if fixed <= 0.0:
        return 0.0, z, 0.0
    unit = z - fixed * u
    return (fixed, unit, 0.0) if unit >= 0.0 else (uz / uu, 0.0, 0.0)
