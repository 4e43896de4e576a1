"""The tickets that wait for a run, grouped by what may share a batch. Pure data: no clock, no loop.

Order: by priority level, within a level first come, first served (equal turns for callers where they are
told apart); a level is served only while all higher ones are empty. Where a batch is formed from one
group, lower levels fill what is left of it.
A request that waited longer than the queue's policy allows is refused, or (DELAY) stands behind all
others of its level. Every way out of here goes through `left` or into a batch, so `rows` never drifts.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from models.errors import SlipwayError
from service.batching.fairness import FairShares
from service.batching.group import Group
from service.batching.sizing import UNBOUND, Bounds, Sizing
from service.batching.ticket import Ticket
from service.errors import DeadlineExceeded


@dataclass(frozen=True)
class QueueRules:
    """`most_rows`, `most_tokens` (0: no limit): what a batch holds. `preferred`: sizes that may go before
    the delay is over, ascending. `levels`: priorities. `delays_late`: timed-out tickets wait longer
    instead of being refused."""

    most_rows: int
    most_tokens: int = 0
    preferred: tuple[int, ...] = ()
    levels: int = 0
    default_level: int = 0
    delay_s: float = 0.0
    delays_late: bool = False


class Backlog:
    """`on_drop` counts tickets that ended while they waited, by reason. `delay_s`: how long a batch waits for
    company now, at most as long as the rules say."""

    def __init__(self, rules: QueueRules, on_drop: Callable[[str], None] = lambda _: None) -> None:
        self._rules = rules
        self._refuses_late = not rules.delays_late
        self._takes_first = rules.delay_s == 0 and not rules.delays_late
        self._on_drop = on_drop
        self._groups: dict[Hashable, Group] = {}
        self._spare: Group | None = None
        self._level_rows = [0] * (rules.levels + 1)
        self.delay_s = rules.delay_s
        self.callers = FairShares()
        self.count = 0
        self.rows = 0
        self.work = 0.0
        self.is_closing = False  # no delay any more: nobody else will come

    def __iter__(self) -> Iterator[Ticket]:
        for group in self._groups.values():
            yield from group

    def push(self, ticket: Ticket) -> None:
        rules = self._rules
        level = ticket.priority = self.level_of(ticket.priority)
        if ticket.caller is not None:
            self.callers.joined(ticket)
        group = self._groups.get(ticket.key)
        if group is None:
            group = self._groups[ticket.key] = self._spare or Group(max(rules.levels, 1))
            self._spare = None
        group.push(ticket, max(level - 1, 0))
        ticket.place = self
        self._level_rows[level] += ticket.rows
        self.count += 1
        self.rows += ticket.rows
        self.work += ticket.work

    def level_of(self, priority: int) -> int:
        """1 is the highest; 0 where the model has no levels."""
        return priority if 0 < priority <= self._rules.levels else self._rules.default_level

    def rows_ahead(self, level: int) -> int:
        """Of this level and the higher ones."""
        if not self._rules.levels:
            return self.rows
        return sum(self._level_rows[: level + 1])

    def below(self, level: int) -> list[Ticket]:
        """What waits at lower levels, the least important and newest first."""
        found = [ticket for ticket in self if ticket.priority > level]
        return sorted(found, key=lambda ticket: (-ticket.priority, -ticket.arrived))

    def of_caller(self, caller: Hashable, level: int) -> list[Ticket]:
        """What waits of one caller at this level, the newest first."""
        found = [t for t in self if t.caller == caller and t.priority == level]
        return sorted(found, key=lambda ticket: -ticket.arrived)

    def left(self, ticket: Ticket) -> None:
        """It got an outcome while it waited: its room is free from now on."""
        if ticket.caller is not None:
            self.callers.withdrawn(ticket)
        self._forget(ticket)
        ticket.inputs = {}
        if ticket.error is not None:
            self._on_drop(ticket.error.reason)

    def ready_at(self, now: float) -> float | None:
        """When the next batch may go: `now` or earlier means at once; None: nothing waits."""
        if not self._groups:
            return None
        if self.delay_s == 0 or self.is_closing:
            return now
        return min(self._due(group, now)[0] for group in self._groups.values())

    def first(self, now: float) -> Ticket | None:
        """The ticket that leads the next batch, if one may go."""
        found = self._next_group(now)
        head = None if found is None else found[0].head()
        return None if head is None else head[1]

    def take(self, now: float, sizing: Sizing, bounds: Bounds = UNBOUND) -> list[Ticket]:
        """The next batch; empty when nothing may go yet, or all that waited had to be dropped."""
        while (found := self._next_group(now)) is not None:
            group, most_rows = found
            picked = group.take(most_rows, self._rules.most_tokens, sizing, bounds)
            batch = [ticket for ticket in picked if not self._is_dropped(ticket, now)]
            for ticket in batch:
                ticket.place = None
                if ticket.caller is not None:
                    self.callers.served(ticket)
                self._forget(ticket)
            if batch:
                return batch
        return []

    def purge(self, now: float) -> None:
        """Drop whatever is not worth running any more; clear the entries of the departed."""
        for ticket in list(self):
            self._is_dropped(ticket, now)
        for group in self._groups.values():
            group.compact()

    def fail_all(self, error: SlipwayError) -> None:
        for ticket in list(self):
            ticket.fail(error)

    def _forget(self, ticket: Ticket) -> None:
        self._level_rows[ticket.priority] -= ticket.rows
        if ticket.caller is not None:
            self.callers.left(ticket)
        self.count -= 1
        self.rows -= ticket.rows
        self.work -= ticket.work
        group = self._groups[ticket.key]
        group.count -= 1
        group.rows -= ticket.rows
        if not group.count:
            del self._groups[ticket.key]
            group.clear()
            self._spare = group  # one request at a time would make a group each
            if not self._groups:
                self.work = 0.0  # sums of floats drift

    def _next_group(self, now: float) -> tuple[Group, int] | None:
        """The group of the ticket that is to be served next, and how many rows may go."""
        if self._takes_first and len(self._groups) == 1:
            return next(iter(self._groups.values())), self._rules.most_rows
        best: tuple[int, float, float] | None = None
        found: tuple[Group, int] | None = None
        for group in self._groups.values():
            if self._rules.delays_late:
                group.delay_late(now)
            due, most_rows = self._due(group, now)
            head = group.head()
            if due > now or head is None:
                continue
            order = (head[0], head[1].turn, head[1].arrived)
            if best is None or order < best:
                best, found = order, (group, most_rows)
        return found

    def _due(self, group: Group, now: float) -> tuple[float, int]:
        """(when it may go, how many rows may go then)."""
        rules = self._rules
        if self.delay_s == 0 or self.is_closing or group.rows >= rules.most_rows:
            return now, rules.most_rows
        due = group.oldest() + self.delay_s
        if due > now and rules.preferred:
            preferred = group.preferred_rows(rules.preferred)
            if preferred:
                return now, preferred
        return due, rules.most_rows

    def _is_dropped(self, ticket: Ticket, now: float) -> bool:
        """True when the ticket must not run; it has its outcome then."""
        if ticket.is_done:
            return True
        if ticket.deadline is not None and ticket.deadline <= now:
            ticket.fail(DeadlineExceeded("the request's time was over before its run"))
        elif self._refuses_late and ticket.queue_until is not None and ticket.queue_until <= now:
            ticket.fail(DeadlineExceeded("the request waited longer than its queue allows"))
        return ticket.is_done
