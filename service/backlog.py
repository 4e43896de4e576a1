"""The tickets that wait for a run, grouped by what may share a batch. Pure data: no clock, no loop.

Within a group first come, first served; between groups the one whose oldest ticket waits longest.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterator

from models.errors import SlipwayError
from service.errors import DeadlineExceeded
from service.ticket import Ticket


class Backlog:
    """`most_rows` and `most_tokens` (0: no limit) bound a batch; `on_drop` counts the dropped by reason."""

    def __init__(
        self, most_rows: int, most_tokens: int = 0, on_drop: Callable[[str], None] = lambda _: None
    ) -> None:
        self._most_rows = most_rows
        self._most_tokens = most_tokens
        self._on_drop = on_drop
        self._groups: dict[Hashable, deque[Ticket]] = {}
        self.rows = 0

    def __iter__(self) -> Iterator[Ticket]:
        for group in self._groups.values():
            yield from group

    def push(self, ticket: Ticket) -> None:
        group = self._groups.get(ticket.key)
        if group is None:
            group = self._groups[ticket.key] = deque()
        group.append(ticket)
        ticket.place = self
        self.rows += ticket.rows

    def left(self, ticket: Ticket) -> None:
        """It got an outcome while it waited: its room is free now, its entry goes at the next look."""
        self.rows -= ticket.rows
        ticket.inputs = {}
        if ticket.error is not None:
            self._on_drop(ticket.error.reason)

    def ready_at(self, delay_s: float) -> float | None:
        """When the next batch may go: at once (0) when one is full, else when its oldest has waited
        `delay_s`; None when nothing waits."""
        if not self._groups:
            return None
        if delay_s == 0:
            return 0.0
        self._forget_done()
        groups = self._groups.values()
        if any(sum(t.rows for t in group) >= self._most_rows for group in groups):
            return 0.0
        return min((group[0].arrived for group in groups), default=0.0) + delay_s

    def take(self, now: float) -> list[Ticket]:
        """The next batch; empty when all that waited had to be dropped."""
        while self._groups:
            key = self._next_key()
            group = self._groups[key]
            batch = self._take_from(group, now)
            if not group:
                del self._groups[key]
            if batch:
                return batch
        return []

    def purge(self, now: float) -> None:
        """Drop whatever is not worth running any more."""
        for ticket in list(self):
            self._is_dropped(ticket, now)
        self._forget_done()

    def fail_all(self, error: SlipwayError) -> None:
        for ticket in list(self):
            ticket.fail(error)
        self._groups.clear()

    def _forget_done(self) -> None:
        for key, group in list(self._groups.items()):
            alive = deque(ticket for ticket in group if not ticket.is_done)
            if alive:
                self._groups[key] = alive
            else:
                del self._groups[key]

    def _next_key(self) -> Hashable:
        if len(self._groups) == 1:
            return next(iter(self._groups))
        return min(self._groups, key=lambda key: self._groups[key][0].arrived)

    def _take_from(self, group: deque[Ticket], now: float) -> list[Ticket]:
        batch: list[Ticket] = []
        rows = longest = 0
        while group:
            ticket = group[0]
            if self._is_dropped(ticket, now):
                group.popleft()
                continue
            longest = max(longest, ticket.length)
            if batch and not self._fits(rows + ticket.rows, longest):
                break
            batch.append(group.popleft())
            ticket.place = None
            rows += ticket.rows
        self.rows -= rows
        return batch

    def _fits(self, rows: int, longest: int) -> bool:
        if rows > self._most_rows:
            return False
        return not self._most_tokens or rows * longest <= self._most_tokens

    def _is_dropped(self, ticket: Ticket, now: float) -> bool:
        """True when the ticket must not run; it has its outcome then."""
        if not ticket.is_done and ticket.deadline is not None and ticket.deadline <= now:
            ticket.fail(DeadlineExceeded("the request's time was over before its run"))
        return ticket.is_done
