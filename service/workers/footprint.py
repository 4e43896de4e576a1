"""What a model takes of a process's memory: before and after it is opened, and at the peak of a run.

Read from the process's own accounts in /proc, so it is right only where nobody else works in the process
at that moment: exact in the one that examines, about right in one that serves. Where the kernel does not
tell, everything is 0 and nothing is decided by it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import SlipwayError
from models.manifest import TensorSpec

_PEAK_IS_NOW = "5"  # proc(5), clear_refs: the peak resident size starts anew
_BUDGET_S = 0.25  # for the larger of the runs that are measured
_LEAST_ROWS = 2


@dataclass(frozen=True)
class Footprint:
    """`before_bytes`: the process without the model. All else comes on top of that: `loaded_bytes` once it is
    open and examined, `opening_bytes` at the most meanwhile, `peaks` at the most in a run: rows and bytes.
    `promised_bytes`: what requests may come to need besides (keys and values of text models)."""

    before_bytes: int = 0
    loaded_bytes: int = 0
    opening_bytes: int = 0
    promised_bytes: int = 0
    peaks: tuple[tuple[int, int], ...] = ()

    def at(self, rows: int) -> int:
        """The most that it takes with batches of up to so many rows, or the next number that was measured.
        Beyond those, activations are supposed to grow with the rows."""
        sizes = [(0, self.loaded_bytes), *self.peaks]
        last, last_bytes = sizes[-1]
        enough = next((count for count, _ in sizes if count >= rows), last)
        most = max(size for count, size in sizes if count <= enough)
        if rows > last > 0:
            first, first_bytes = sizes[-2]
            slope = max(last_bytes - first_bytes, 0) / (last - first)
            most = max(most, int(last_bytes + slope * (rows - last)))
        return most + self.promised_bytes

    @classmethod
    def from_json(cls, members: Mapping[str, Any]) -> "Footprint":
        """As it crosses between processes of one server."""
        return cls(**{**members, "peaks": tuple((rows, size) for rows, size in members["peaks"])})


class Measure:
    """Of this process, from now on. `proc`: its folder there."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc
        self._reset()
        self.before_bytes = self.resident_bytes()

    def resident_bytes(self) -> int:
        return self._of("VmRSS")

    def loaded(self, promised_bytes: int = 0) -> Footprint:
        """The model is open and examined."""
        return Footprint(
            self.before_bytes,
            max(self.resident_bytes() - self.before_bytes, 0),
            max(self._of("VmHWM") - self.before_bytes, 0),
            promised_bytes,
        )

    def peak_of(self, run: Callable[[], object]) -> int:
        """The most that the process grew to, beyond what it was before the model, while this ran."""
        self._reset()
        run()
        return max(self._of("VmHWM") - self.before_bytes, 0)

    def _reset(self) -> None:
        try:
            (self._proc / "clear_refs").write_text(_PEAK_IS_NOW)
        except OSError:
            return  # then a peak is the highest there ever was: too much rather than too little

    def _of(self, name: str) -> int:
        try:
            for line in (self._proc / "status").read_text().splitlines():
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) << 10
        except (OSError, ValueError, IndexError):
            pass
        return 0


def peaks(
    measure: Measure,
    run: Callable[[Mapping[str, np.ndarray]], object],
    item: Mapping[str, np.ndarray],
    specs: tuple[TensorSpec, ...],
    most_rows: int,
) -> tuple[tuple[int, int], ...]:
    """(rows, peak) of one row and of as many as run within a quarter of a second, `most_rows` at the most. A
    size that the graph does not take, or that there is no memory for, is left out."""
    found: list[tuple[int, int]] = []
    rows = 1
    while True:
        began = time.perf_counter()
        inputs = repeated(item, specs, rows)
        try:
            found.append((rows, measure.peak_of(partial(run, inputs))))
        except SlipwayError:
            break
        took_s = max(time.perf_counter() - began, 1e-6)
        can_batch = all(spec.batch_axis is not None for spec in specs)
        more = min(most_rows, int(_BUDGET_S / took_s)) if can_batch else 1
        if rows > 1 or more < _LEAST_ROWS:
            break
        rows = more
    return tuple(found)


def repeated(
    item: Mapping[str, np.ndarray], specs: tuple[TensorSpec, ...], rows: int
) -> dict[str, np.ndarray]:
    """One item → a batch of the same."""
    return {
        spec.name: np.repeat(item[spec.name], rows, spec.batch_axis)
        if spec.batch_axis is not None
        else item[spec.name]
        for spec in specs
    }
