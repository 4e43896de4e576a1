"""What the caller of the benchmark chose; frozen, handed to everything."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Options:
    """`seconds` is the length of one measurement of small models; slow models are given more.
    `decoder`: which of `benchmarks.graphs.language_model.SIZES` the generation scenarios take."""

    seconds: float = 3.0
    rounds: int = 3
    checkout: Path = ROOT
    cache: Path = ROOT / "build" / "benchmarks"
    results: Path = ROOT / "benchmarks" / "results"
    limit_s: float = 2100.0
    decoder: str = "124m"
    only: tuple[str, ...] = ()
    command: tuple[str, ...] = field(default_factory=lambda: tuple(sys.argv))
