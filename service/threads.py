"""How the usable cores are shared between all sessions of a server's workers.

Every session has a thread pool of its own, whose size is set when it is opened; idle pools cost no core, so
what counts is which sessions run at the same time:

- Batches: a worker runs one at a time, whatever the model: `workers × threads`, within the cores.
- A wide session runs only when no other batch does, in place of those: `wide`, within the cores.
- A text model steps on a thread of its own in one worker, beside that worker's batches: `threads` more
  for each.

So the sum is `workers × threads + text models × threads`, and only text models take it beyond the cores,
while batches and they are all at work. It is told then, because only the operator knows which of them
matters; fewer workers leave them room.
"""

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

    def busy(self, text_models: int = 0) -> int:
        """Threads that compute at once, at the most, with so many text models loaded."""
        return max(self.workers * self.threads + text_models * self.threads, self.wide)

    def beyond(self, text_models: int) -> int:
        """How many of them are without a core of their own; `wide` is what there is."""
        return max(self.busy(text_models) - max(self.wide, self.workers * self.threads), 0)


def plan(cores: float, workers: int) -> ThreadPlan:
    """The sum of threads stays within `cores`. `workers` 0: choose."""
    whole = max(1, math.floor(cores))
    count = workers or min(whole, _MAX_DEFAULT_WORKERS)
    return ThreadPlan(count, max(1, whole // count), whole)
