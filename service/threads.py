"""How the usable cores are shared between workers."""

import math
from typing import NamedTuple

_MAX_DEFAULT_WORKERS = (
    4  # beyond this a worker's memory costs more than its core brings on small models
)


class ThreadPlan(NamedTuple):
    """`workers` × `threads` run at the same time; a batch that is alone may have `wide` threads."""

    workers: int
    threads: int
    wide: int


def plan(cores: float, workers: int) -> ThreadPlan:
    """The sum of threads stays within `cores`. `workers` 0: choose."""
    whole = max(1, math.floor(cores))
    count = workers or min(whole, _MAX_DEFAULT_WORKERS)
    return ThreadPlan(count, max(1, whole // count), whole)
