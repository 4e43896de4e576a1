"""Waiting tickets that may share a batch, and which of them do. Pure data.

One line per priority level, in the order of service, and behind each a line of those that waited too
long. A ticket that ended keeps its entry until a look comes past it; `count` and `rows` are of the others.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from operator import attrgetter

from service.batching.draft import Draft
from service.batching.sizing import UNBOUND, Bounds, Sizing
from service.batching.ticket import Ticket


class Group:
    def __init__(self, levels: int) -> None:
        self._lines: list[deque[Ticket]] = [deque() for _ in range(2 * levels)]
        self.count = 0
        self.rows = 0

    def __iter__(self) -> Iterator[Ticket]:
        """In the order of service."""
        for line in self._lines:
            for ticket in line:
                if ticket.place is not None:
                    yield ticket

    def push(self, ticket: Ticket, level: int) -> None:
        line = self._lines[2 * level]
        if line and line[-1].turn > ticket.turn:  # never where callers are not told apart
            line.insert(bisect_right(line, ticket.turn, key=attrgetter("turn")), ticket)
        else:
            line.append(ticket)
        self.count += 1
        self.rows += ticket.rows

    def head(self) -> tuple[int, Ticket] | None:
        """The ticket to be served next, and its line."""
        for number, line in enumerate(self._lines):
            while line and line[0].place is None:
                line.popleft()
            if line:
                return number, line[0]
        return None

    def oldest(self) -> float:
        """Arrival of the ticket that has waited longest: what a delay is counted from."""
        return min(ticket.arrived for ticket in self)

    def preferred_rows(self, sizes: Sequence[int]) -> int:
        """The largest of `sizes` that the first tickets in line make exactly; 0: none."""
        rows = best = 0
        for ticket in self:
            rows += ticket.rows
            if rows in sizes:
                best = rows
        return best

    def clear(self) -> None:
        """Only the entries of the departed are left."""
        for line in self._lines:
            line.clear()

    def compact(self) -> None:
        self._lines = [deque(t for t in line if t.place is not None) for line in self._lines]

    def delay_late(self, now: float) -> None:
        """Those whose time in the queue is over go behind all others of their level."""
        for number in range(0, len(self._lines), 2):
            line = self._lines[number]
            late = [t for t in line if t.queue_until is not None and t.queue_until <= now]
            if late:
                self._lines[number] = deque(t for t in line if t not in late)
                self._lines[number + 1].extend(late)

    def take(
        self, most_rows: int, most_tokens: int, sizing: Sizing, bounds: Bounds = UNBOUND
    ) -> list[Ticket]:
        """A batch; the ticket to be served next is in it however large it is."""
        head = self.head()
        if head is None:
            return []
        if head[1].lengths:
            return self._take_similar(head[1], most_rows, most_tokens, sizing, bounds)
        if self.count > 1:
            waiting = min(self.rows, most_rows)
            most_rows = sizing.rows(waiting, head[1].work / (head[1].rows or 1), bounds)
        return self._take_first(most_rows)

    def _take_first(self, most_rows: int) -> list[Ticket]:
        batch: list[Ticket] = []
        rows = 0
        while (head := self.head()) is not None:
            line, ticket = head
            rows += ticket.rows
            if batch and rows > most_rows:
                break
            batch.append(ticket)
            self._lines[line].popleft()
        return batch

    def _take_similar(
        self, first: Ticket, most_rows: int, most_tokens: int, sizing: Sizing, bounds: Bounds
    ) -> list[Ticket]:
        """The first in line and those nearest to it in length, as long as each of them is worth the padding
        that it brings: its own, and what it makes all the others longer by."""
        batch = [first]
        if self.count > 1:
            draft = Draft(first, sizing, most_rows, most_tokens, bounds)
            for ticket in self._by_likeness(first):
                if draft.takes(ticket):
                    batch.append(ticket)
                    if draft.rows == most_rows:
                        draft.bound = "size"
                        break
            sizing.bound = draft.bound or "size"
        taken = set(map(id, batch))
        self._lines = [
            deque(t for t in line if id(t) not in taken and t.place is not None)
            for line in self._lines
        ]
        return batch

    def _by_likeness(self, first: Ticket) -> list[Ticket]:
        """The others, higher levels before lower ones, in each the most similar before the rest."""
        sizes = first.lengths
        found: list[Ticket] = []
        for line in self._lines:
            others = [t for t in line if t.place is not None and t is not first]
            if len(sizes) == 1:
                size = sizes[0]
                others.sort(key=lambda ticket: abs(ticket.lengths[0] - size))
            else:
                others.sort(key=lambda ticket: _distance(ticket.lengths, sizes))
            found += others
        return found


def _distance(lengths: Sequence[int], others: Sequence[int]) -> int:
    return sum(abs(a - b) for a, b in zip(lengths, others, strict=True))
