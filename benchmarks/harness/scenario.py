"""What a scenario is, and what it is given to work with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.options import Options
from benchmarks.harness.progress import Progress
from benchmarks.harness.rounds import Clock, Rounds, Sample, alternate
from benchmarks.harness.rows import Promise, Rows


@dataclass
class Bench:
    """Handed to every scenario. `folder` is its own and empty; `raw` keeps each sample for the report."""

    options: Options
    folder: Path
    cores: int
    clock: Clock
    progress: Progress
    raw: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def alternate(
        self, things: Mapping[str, Callable[[], Sample]], rounds: int | None = None
    ) -> Rounds[Sample]:
        """See `benchmarks.harness.rounds`."""
        return alternate(things, rounds or self.options.rounds, self.clock, self.progress)

    def keep(self, samples: Mapping[str, Sequence[Any]]) -> None:
        """Dataclasses, into the report, for those who want to judge for themselves."""
        for name, found in samples.items():
            self.raw.setdefault(name, []).extend(asdict(sample) for sample in found)


@dataclass(frozen=True)
class Scenario:
    """`promises`: its rows. `measure` fills them; a row it leaves open is reported as not measured."""

    name: str
    title: str
    promises: tuple[Promise, ...]
    measure: Callable[[Bench, Rows], None]
    needs_wrk: bool = True
