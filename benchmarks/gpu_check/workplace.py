"""What a check is given to work with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gpu_check.nvidia import used_bytes
from benchmarks.harness.options import ROOT
from models.runtimes.base import Provider


@dataclass(frozen=True)
class Workplace:
    """`folder` is the check's own and empty. `providers` to check, in order. `limit_s`: of this check; what
    does not fit is left out and said to be. `seconds`: of one measurement of speed."""

    folder: Path
    repository: Path
    providers: tuple[Provider, ...] = ("cuda",)
    device: int = 0
    limit_s: float = 60.0
    seconds: float = 4.0
    cores: int = 16
    checkout: Path = ROOT
    clock: Callable[[], float] = time.monotonic
    used_bytes: Callable[[int], int] = used_bytes
    began: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return self.limit_s - (self.clock() - self.began)
