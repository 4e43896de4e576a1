"""What was measured of one pod: how long a run takes by its rows, and what a request costs besides.

A run's time is kept as quantiles, because its spread is what queues come from. Between measured sizes
quantiles are interpolated; beyond the last they grow as between the last two.
"""

import json
import random
from bisect import bisect_right
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

# From the least to the most, in steps of 2.5 %, and finer at the end: a straight line from there to the one
# run that a neighbour delayed would make every fortieth run slow.
LEVELS = (*(step / 40 for step in range(40)), 0.985, 0.99, 0.995, 0.999, 1.0)


@dataclass(frozen=True)
class Curve:
    """`run_s[i]`: times of runs with `rows[i]` rows, one for each of LEVELS."""

    rows: tuple[int, ...]
    run_s: tuple[tuple[float, ...], ...]
    _drawn: dict[int, tuple[float, ...]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(samples: dict[int, list[float]]) -> "Curve":
        """`samples`: rows → seconds of single runs."""
        rows = tuple(sorted(samples))
        times = tuple(tuple(np.quantile(samples[size], LEVELS).tolist()) for size in rows)
        return Curve(rows, times)

    @staticmethod
    def exactly(fixed_s: float, per_row_s: float, most_rows: int) -> "Curve":
        """Without any spread."""
        rows = (1, most_rows) if most_rows > 1 else (1,)
        times = tuple((fixed_s + per_row_s * size,) * len(LEVELS) for size in rows)
        return Curve(rows, times)

    def draw(self, rows: int, chance: random.Random) -> float:
        """Seconds of one run."""
        times = self._drawn.get(rows) or self._drawn.setdefault(rows, self._at(rows))
        share = chance.random()
        above = bisect_right(LEVELS, share)
        low, high = LEVELS[above - 1], LEVELS[above]
        part = (share - low) / (high - low)
        return times[above - 1] + part * (times[above] - times[above - 1])

    def mean_s(self, rows: int) -> float:
        """Of `draw`: trapezoids between quantiles."""
        return float(np.trapezoid(self._at(rows), LEVELS))

    def most_per_s(self, most_rows: int) -> float:
        """Rows per second of one worker at the best batch size."""
        return max(rows / self.mean_s(rows) for rows in range(1, most_rows + 1))

    def _at(self, rows: int) -> tuple[float, ...]:
        if len(self.rows) == 1:
            return tuple(rows / self.rows[0] * time_s for time_s in self.run_s[0])
        above = min(int(np.searchsorted(self.rows, rows)), len(self.rows) - 1) or 1
        low, high = self.rows[above - 1], self.rows[above]
        share = (rows - low) / (high - low)
        times = [
            a + share * (b - a) for a, b in zip(*self.run_s[above - 1 : above + 1], strict=True)
        ]
        return tuple(max(times[: i + 1]) for i in range(len(times)))


@dataclass(frozen=True)
class Profile:
    """One pod with one model. Seconds a request: `frontend_s` of the event loop, `rest_s` of everything that
    delays it and occupies nothing. Seconds a run, in which the worker is taken too: `trip_s` for the way
    there and back with one row, `trip_row_s` for each further row. `start_s`: from the process's start to
    its first good answer."""

    name: str
    title: str
    curve: Curve
    workers: int = 1
    max_batch_size: int = 1
    max_queue_wait_s: float = 0.075
    frontend_s: float = 0.0
    trip_s: float = 0.0
    trip_row_s: float = 0.0
    rest_s: float = 0.0
    start_s: float = 0.0

    def taken_s(self, rows: int) -> float:
        """Of a worker, besides the run."""
        return self.trip_s + self.trip_row_s * (rows - 1)

    def slowed(self, times: float) -> "Profile":
        """Everything takes so many times as long, waits that are accepted too: at a rate as many times
        lower as much is in flight and as much is refused, and a simulation costs as many times less."""
        run_s = tuple(tuple(one * times for one in row) for row in self.curve.run_s)
        return replace(
            self,
            curve=Curve(self.curve.rows, run_s),
            max_queue_wait_s=self.max_queue_wait_s * times,
            frontend_s=self.frontend_s * times,
            trip_s=self.trip_s * times,
            trip_row_s=self.trip_row_s * times,
            rest_s=self.rest_s * times,
        )


@dataclass(frozen=True)
class LoadSample:
    """One open loop at a real server: what the simulation has to foretell."""

    rate: float
    goodput: float
    p50_ms: float
    p99_ms: float
    refused_share: float
    rows_per_run: float
    late_p99_ms: float


@dataclass(frozen=True)
class Held:
    """A load that the curve was not made from. `share` of the capacity that a closed loop found."""

    share: float
    rounds: tuple[LoadSample, ...]


@dataclass(frozen=True)
class Pod:
    """`mean_ms`: of each round, per measured size: how far rounds lie apart."""

    profile: Profile
    capacity: float
    mean_ms: tuple[tuple[float, ...], ...]
    held: tuple[Held, ...]


@dataclass(frozen=True)
class Measured:
    machine: dict[str, Any]
    command: str
    seconds: float
    rounds: int
    load_average_after: tuple[float, ...]
    pods: tuple[Pod, ...]

    def write(self, target: Path) -> None:
        content = asdict(self)
        for pod in content["pods"]:
            del pod["profile"]["curve"]["_drawn"]
        target.write_text(json.dumps(rounded(content), indent=1) + "\n")

    @staticmethod
    def read(source: Path) -> "Measured":
        """Raises FileNotFoundError, and TypeError or KeyError when it is another version's."""
        content = json.loads(source.read_text())
        pods = tuple(_pod(pod) for pod in content.pop("pods"))
        loads = tuple(content.pop("load_average_after"))
        return Measured(**content, load_average_after=loads, pods=pods)


def rounded(value: Any) -> Any:
    """Six significant digits: more would only be noise in a diff."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


def _pod(content: dict[str, Any]) -> Pod:
    curve = content["profile"].pop("curve")
    times = tuple(tuple(one) for one in curve["run_s"])
    profile = Profile(curve=Curve(tuple(curve["rows"]), times), **content["profile"])
    held = tuple(
        Held(one["share"], tuple(LoadSample(**sample) for sample in one["rounds"]))
        for one in content["held"]
    )
    means = tuple(tuple(one) for one in content["mean_ms"])
    return Pod(profile, content["capacity"], means, held)
