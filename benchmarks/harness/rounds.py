"""Everything compared is measured in turn, round after round, every other round backwards.

A neighbour that takes the processor for a while then slows all of them, and medians of per-round ratios
do not see it. What fails is left out of later rounds and named; Ctrl-C ends the rounds and keeps them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from benchmarks.harness.failures import Interrupted, MeasurementFailed
from benchmarks.harness.progress import Progress

Sample = TypeVar("Sample")


@dataclass
class Clock:
    """Whether there is time left. `is_over` once Ctrl-C was pressed or the limit has passed."""

    limit_s: float
    now: Callable[[], float] = time.monotonic
    why: str = ""
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    def check(self) -> None:
        """Raises Interrupted."""
        if not self.why and self.now() - self.began > self.limit_s:
            self.why = f"the time limit of {self.limit_s:g} s was reached"
        if self.why:
            raise Interrupted(self.why)


@dataclass
class Rounds(Generic[Sample]):
    """Per thing measured: its samples in the order of rounds, or why there are none."""

    samples: dict[str, list[Sample]]
    failures: dict[str, str] = field(default_factory=dict)

    def of(self, name: str, figure: Callable[[Sample], float]) -> list[float]:
        """One figure of each sample."""
        return [figure(sample) for sample in self.samples.get(name, [])]


def alternate(
    things: Mapping[str, Callable[[], Sample]], rounds: int, clock: Clock, progress: Progress
) -> Rounds[Sample]:
    """Measure each of `things` once per round."""
    found: Rounds[Sample] = Rounds({name: [] for name in things})
    progress.expect(rounds * len(things))
    try:
        for number in range(rounds):
            order = list(things) if number % 2 == 0 else list(reversed(list(things)))
            for name in order:
                clock.check()
                if name in found.failures:
                    continue
                progress.doing(name)
                _measure(name, things[name], found)
                progress.done()
    except Interrupted:
        pass
    except KeyboardInterrupt:
        clock.why = "interrupted"
    return found


def _measure(name: str, thing: Callable[[], Sample], found: Rounds[Sample]) -> None:
    try:
        found.samples[name].append(thing())
    except MeasurementFailed as failure:
        found.failures[name] = str(failure)
        found.samples[name].clear()  # half a figure is no figure
