"""Answers that take many runs of the graph: each run is one item through the model's batcher.

So the runs of different callers share batches, a caller that leaves takes its work with it between two runs
(the waiting item is withdrawn), and a deadline is looked at before each. `service.pipeline` runs loops to
their end, the route of pictures that are shown while they are drawn goes step by step.

What has begun is seen through: only the first run of a request is refused by a full queue, later ones wait
for a place, until the deadline.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.batching.ticket import Ticket
from service.errors import QueueFull, QuotaExceeded
from service.offload import offload
from service.tasks.base import Item, Loop
from service.terms import Terms

if TYPE_CHECKING:
    from service.batching.batcher import Batcher

_LONGEST_PAUSE_S = 0.5


@dataclass
class Spent:
    """What the loops of one request have taken: seconds of the slowest, and whether any has begun."""

    queue_s: float = 0.0
    infer_s: float = 0.0
    has_begun: bool = False


async def steps_of(
    batcher: "Batcher", loop: Loop, terms: Terms, spent: Spent
) -> AsyncGenerator[int, None]:
    """Run `loop` to its end; yields how many steps are done, after each.

    Raises DeadlineExceeded between runs, and what the batcher and the loop raise.
    """
    clock = asyncio.get_running_loop().time
    queue_s = infer_s = 0.0
    while not loop.is_done:
        before = loop.step
        terms.check(clock())
        ticket = await _enqueue(batcher, loop.item(), terms, spent)
        try:
            row = await ticket.future
        finally:
            ticket.cancel()  # no effect on a finished one
        queue_s, infer_s = queue_s + ticket.queue_s, infer_s + ticket.infer_s
        spent.queue_s, spent.infer_s = max(spent.queue_s, queue_s), max(spent.infer_s, infer_s)
        if loop.is_heavy:
            await offload(loop.take, row)
        else:
            loop.take(row)
        if loop.step > before:
            yield loop.step


async def _enqueue(batcher: "Batcher", item: Item, terms: Terms, spent: Spent) -> Ticket:
    while True:
        try:
            ticket = batcher.enqueue_item(
                item,
                deadline=terms.deadline,
                is_own_deadline=terms.is_own_deadline,
                priority=terms.priority,
                caller=terms.caller,
            )
        except (QueueFull, QuotaExceeded) as full:
            if not spent.has_begun:
                raise
            await asyncio.sleep(min(full.retry_after_s or _LONGEST_PAUSE_S, _LONGEST_PAUSE_S))
            terms.check(asyncio.get_running_loop().time())
            continue
        spent.has_begun = True
        return ticket
