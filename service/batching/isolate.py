"""When a batch fails: find the guilty tickets by halving, within a budget of runs.

One bad ticket in 32 costs 1 + 2·log2(32) = 11 runs, k of them at most 1 + 2k·log2(32). A budget bounds
what an attacker can make us compute; tickets still unjudged when it is spent fail with their batch.
Halving n tickets to the last never takes more than 2n - 2 runs, so up to 32 everyone is judged.
"""

import math
from collections.abc import Awaitable, Callable, Sequence

from models.errors import InferenceFailed, InputRefused, OutOfMemory, SlipwayError
from service.batching.ticket import Ticket

Attempt = Callable[[Sequence[Ticket]], Awaitable[None]]

CAUSED_BY_ITEMS = (InputRefused, InferenceFailed, OutOfMemory)
"""Failures that one item can cause, or that fewer items may not have; anything else (a lost worker)
concerns the whole batch."""

_GUILTY_FORESEEN = 8


def budget(tickets: int) -> int:
    """Further runs allowed: enough for eight bad tickets wherever they sit."""
    return 2 * _GUILTY_FORESEEN * max(1, math.ceil(math.log2(max(tickets, 2))))


async def isolate(tickets: Sequence[Ticket], error: SlipwayError, attempt: Attempt) -> None:
    """Give every ticket of a failed batch its own outcome. `attempt` runs and answers some tickets."""
    left = budget(len(tickets))
    suspects: list[tuple[Sequence[Ticket], SlipwayError]] = [(tickets, error)]
    while suspects:
        group, error = suspects.pop()
        if len(group) == 1 or not isinstance(error, CAUSED_BY_ITEMS):
            _fail(group, error)
            continue
        middle = len(group) // 2
        for half in (group[:middle], group[middle:]):
            alive = [ticket for ticket in half if not ticket.is_done]
            if not alive:
                continue
            if left == 0:
                _fail(alive, InferenceFailed("the batch failed and its culprits were too many"))
                continue
            left -= 1
            try:
                await attempt(alive)
            except SlipwayError as failure:
                suspects.append((alive, failure))


def _fail(tickets: Sequence[Ticket], error: SlipwayError) -> None:
    for ticket in tickets:
        ticket.fail(error)
