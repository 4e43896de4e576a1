"""A batch of different lengths while it is formed: how large it is with padding, and who may still join."""

import math

from service.batching.sizing import TRIP_S, Bounds, Sizing
from service.batching.ticket import Ticket

_LEAST_WASTE = 0.2
"""While a model's costs are not known, a ticket may bring a fifth of itself as padding."""


class Draft:
    """Begins with the ticket that is served next. `rows`, `length`: of the batch, its padding included.

    `bound`: what kept a ticket out, the last time: size, tokens, share, padding, cost or target.
    """

    __slots__ = (
        "_batch_s", "_most", "_most_rows", "_most_s", "_most_tokens", "_sizing", "_trial", "bound",
        "length", "longest", "rows",
    )  # fmt: skip

    def __init__(
        self, first: Ticket, sizing: Sizing, most_rows: int, most_tokens: int, bounds: Bounds
    ) -> None:
        self.rows = first.rows
        self.longest = first.lengths
        self.length = math.prod(first.lengths)
        self.bound = ""
        self._sizing = sizing
        self._most_rows = most_rows
        self._most_tokens = most_tokens or math.inf
        self._most = bounds.most_work
        self._trial = sizing.trial_work()
        self._most_s = bounds.most_s - TRIP_S
        self._batch_s = sizing.curve.run_s(self.rows, self.length)

    def takes(self, ticket: Ticket) -> bool:
        """Joins, if that is worth it."""
        rows = self.rows + ticket.rows
        if rows > self._most_rows:
            self.bound = "size"
            return False
        longest = tuple(map(max, self.longest, ticket.lengths))
        length = self.length if longest == self.longest else math.prod(longest)
        work = float(rows * length)
        if work > self._most_tokens:
            self.bound = "tokens"
            return False
        if work > self._most:
            self.bound = "share"
            return False
        sizing = self._sizing
        if not sizing.learns or not sizing.curve.is_known:
            padding = work - self.rows * self.length - ticket.work
            if work > self._trial or padding > _LEAST_WASTE * ticket.rows * length:
                self.bound = "cost"
                return False
            batch_s = sizing.curve.run_s(rows, length)
        else:
            batch_s = sizing.curve.run_s(rows, length)
            if not sizing.joins(self._batch_s, batch_s, ticket):
                self.bound = "cost"
                return False
        if batch_s > self._most_s:
            self.bound = "target"
            return False
        self.rows, self.longest, self.length, self._batch_s = rows, longest, length, batch_s
        return True
