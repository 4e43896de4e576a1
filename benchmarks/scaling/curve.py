"""What was measured of one pod: how long a run takes by its rows, and what a request costs besides.

A run's time is kept as quantiles, because its spread is what queues come from. Between measured sizes
quantiles are interpolated; beyond the last they grow as between the last two.
"""

import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

QUANTILES = 41  # from the least to the most, in steps of 2.5 %


@dataclass(frozen=True)
class Curve:
    """`run_s[i]`: QUANTILES times of runs with `rows[i]` rows, ascending."""

    rows: tuple[int, ...]
    run_s: tuple[tuple[float, ...], ...]
    _drawn: dict[int, tuple[float, ...]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def of(samples: dict[int, list[float]]) -> "Curve":
        """`samples`: rows → seconds of single runs."""
        rows = tuple(sorted(samples))
        shares = np.linspace(0, 1, QUANTILES)
        times = tuple(tuple(np.quantile(samples[size], shares).tolist()) for size in rows)
        return Curve(rows, times)

    @staticmethod
    def exactly(fixed_s: float, per_row_s: float, most_rows: int) -> "Curve":
        """Without any spread."""
        rows = (1, most_rows) if most_rows > 1 else (1,)
        times = tuple((fixed_s + per_row_s * size,) * QUANTILES for size in rows)
        return Curve(rows, times)

    def draw(self, rows: int, chance: random.Random) -> float:
        """Seconds of one run."""
        times = self._drawn.get(rows) or self._drawn.setdefault(rows, self._at(rows))
        place = chance.random() * (len(times) - 1)
        below = int(place)
        return times[below] + (place - below) * (times[below + 1] - times[below])

    def mean_s(self, rows: int) -> float:
        """Of `draw`: trapezoids between quantiles."""
        times = self._at(rows)
        return (sum(times) - (times[0] + times[-1]) / 2) / (len(times) - 1)

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
    """One pod with one model. Seconds a request: `frontend_s` of the event loop, `trip_s` of the way to the
    worker and back (the worker is taken meanwhile), `rest_s` of everything that delays it and occupies
    nothing. `start_s`: from the process's start to its first good answer."""

    name: str
    title: str
    curve: Curve
    workers: int = 1
    max_batch_size: int = 1
    max_queue_wait_s: float = 0.075
    frontend_s: float = 0.0
    trip_s: float = 0.0
    rest_s: float = 0.0
    start_s: float = 0.0


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
