"""Equal turns for callers: what each of them has waiting, and the order in which they are served.

Start-time fair queueing: a ticket is stamped with the amount of work that its caller will have been served
before it, and lower stamps go first. A caller that sends ten times as much stands behind itself, not
in front of others; one that was away joins at the present and has no claim on the past.

Pure data. A caller is forgotten when nothing of it waits.
"""

from collections.abc import Hashable

from service.batching.ticket import Ticket


class FairShares:
    def __init__(self) -> None:
        self.rows: dict[Hashable, int] = {}
        self._next: dict[Hashable, float] = {}
        self._now = 0.0

    def joined(self, ticket: Ticket) -> None:
        """It begins to wait: stamps it."""
        caller = ticket.caller
        ticket.turn = max(self._now, self._next.get(caller, 0.0))
        self._next[caller] = ticket.turn + ticket.rows
        self.rows[caller] = self.rows.get(caller, 0) + ticket.rows

    def withdrawn(self, ticket: Ticket) -> None:
        """It leaves without a run, which its caller is not charged for."""
        self._next[ticket.caller] -= ticket.rows

    def left(self, ticket: Ticket) -> None:
        """It waits no longer, for whatever reason."""
        rows = self.rows[ticket.caller] - ticket.rows
        if rows:
            self.rows[ticket.caller] = rows
        else:
            del self.rows[ticket.caller], self._next[ticket.caller]

    def served(self, ticket: Ticket) -> None:
        self._now = max(self._now, ticket.turn)

    def rows_of(self, caller: Hashable) -> int:
        return self.rows.get(caller, 0)

    def heaviest(self) -> tuple[Hashable, int]:
        """Who has most waiting; (None, 0) when nobody has."""
        return max(self.rows.items(), key=lambda entry: entry[1], default=(None, 0))

    def rows_ahead(self, caller: Hashable, rows: int) -> int:
        """At most so many are served before `rows` new ones of `caller`: as many turns of the others as it
        needs itself."""
        own = self.rows_of(caller) + rows
        return sum(min(own, held) for held in self.rows.values())
