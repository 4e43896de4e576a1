"""Who may wait for a run, and who is told at once to come back later.

A queue is bounded by time: what waits must be served within `max_queue_wait_s` at the measured rate. A
few batches may always wait, however slow the model is, so that workers never go without and a burst on an
idle server is not refused; `max_queue_rows` bounds memory. Lower priorities are shed first: they see less
of the bounds, and what waits of them makes room for higher ones. Where callers are told apart, a full
queue sheds those who have most waiting, with 429, until everybody has the same.

Not promised: that an admitted item is served within the bound. Higher priorities may come after it, and
runs may become slower; deadlines are for that.
"""

import math
from collections.abc import Callable, Hashable

from service.batching.backlog import Backlog
from service.batching.drain import DrainRate
from service.batching.limits import BatchLimits
from service.errors import DeadlineExceeded, QueueFull, QuotaExceeded

# Of the bounds, that the lowest priority may use; levels between have shares between.
_LEAST_SHARE = 0.5
# Until a first run has told how fast the model is.
_UNMEASURED_ROWS = 256


class Admission:
    """Of one batcher. `on_drop` counts by reason what never got into the queue or was put out of it."""

    def __init__(
        self,
        limits: BatchLimits,
        backlog: Backlog,
        drain: DrainRate,
        on_drop: Callable[[str], None],
    ) -> None:
        self._limits = limits
        self._backlog = backlog
        self._drain = drain
        self._on_drop = on_drop
        levels = limits.priority_levels
        step = (1.0 - _LEAST_SHARE) / max(levels - 1, 1)
        self._shares = [1.0 - step * index for index in range(max(levels, 1))]

    def admit(
        self, rows: int, now: float, deadline: float | None, priority: int, caller: Hashable = None
    ) -> None:
        """Return, perhaps after making room, or raise DeadlineExceeded, QueueFull or QuotaExceeded.

        `priority`: as the request names it, 0 for the model's default. `caller`: whose it is; None where
        callers are not told apart.
        """
        if deadline is not None and deadline <= now:
            self._on_drop(DeadlineExceeded.reason)
            raise DeadlineExceeded("the request's time was over when it arrived")
        backlog = self._backlog
        if not backlog.rows:
            self._drain.emptied()
            return  # a request larger than the whole queue is still one that can be served
        level = backlog.level_of(priority)
        share = self._shares[max(level - 1, 0)]
        ahead = backlog.rows_ahead(level)
        if deadline is not None and now + self._wait_s(rows, ahead, caller) > deadline:
            raise self._full("the wait is longer than the request's own time")
        if self._fits(backlog.rows + rows, share):
            return
        if ahead < backlog.rows and self._fits(ahead + rows, share):
            self._make_room(rows, level, share)
        elif caller is not None:
            self._take_from_heaviest(rows, level, share, caller)
        else:
            raise self._full("try again later")

    def _wait_s(self, rows: int, ahead: int, caller: Hashable) -> float:
        if caller is not None:
            ahead = min(ahead, self._backlog.callers.rows_ahead(caller, rows))
        return self._drain.wait_s(ahead)

    def _fits(self, rows: int, share: float) -> bool:
        limits, drain = self._limits, self._drain
        if rows > limits.max_queue_rows * share:
            return False
        if rows <= limits.least_queue_rows * share:
            return True
        if not drain.is_measured and limits.max_queue_wait_s < math.inf:
            return rows <= _UNMEASURED_ROWS * share
        return drain.wait_s(rows) <= limits.max_queue_wait_s * share

    def _make_room(self, rows: int, level: int, share: float) -> None:
        """Put the newest of the lowest priorities out, as many as must go."""
        for ticket in self._backlog.below(level):
            if self._fits(self._backlog.rows + rows, share):
                return
            ticket.fail(self._full("it gave its place to a request of higher priority"))

    def _take_from_heaviest(self, rows: int, level: int, share: float, caller: Hashable) -> None:
        """Whoever has most waiting gives up its newest, as long as it keeps more than `caller` gets. Raises
        when there is no such caller: QuotaExceeded for the heaviest itself, QueueFull among equals."""
        backlog, callers = self._backlog, self._backlog.callers
        own = callers.rows_of(caller) + rows
        while not self._fits(backlog.rows + rows, share):
            heaviest, held = callers.heaviest()
            victims = backlog.of_caller(heaviest, level) if held > own else []
            if not victims:
                raise self._refusal(own)
            for ticket in victims:
                ticket.fail(self._over_share(callers.rows_of(heaviest)))
                if callers.rows_of(heaviest) <= own or self._fits(backlog.rows + rows, share):
                    break

    def _refusal(self, own: int) -> Exception:
        callers = self._backlog.callers
        fair = self._backlog.rows / len(callers.rows) if callers.rows else math.inf
        if len(callers.rows) > 1 and own > fair:
            return self._over_share(own)
        return self._full("try again later")

    def _over_share(self, held: int) -> QuotaExceeded:
        return QuotaExceeded(
            f"{held} items of this caller are in the queue, more than its share while others wait",
            self._drain.retry_after_s(self._backlog.rows),
        )

    def _full(self, why: str) -> QueueFull:
        waiting = self._backlog.rows
        error = QueueFull(f"{waiting} items wait already: {why}")
        error.retry_after_s = self._drain.retry_after_s(waiting)
        return error
