"""The search for the guilty: exact, within its budget, and never after a lost worker."""

import asyncio
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from models.errors import InferenceFailed, InputRefused
from service.batching.isolate import budget, isolate
from service.batching.ticket import Ticket
from service.errors import WorkerLost


class Court:
    """Runs tickets; a run that holds a guilty one fails as a whole."""

    def __init__(self, guilty: set[int], size: int) -> None:
        self.tickets = [Ticket({}, 1, arrived=0.0) for _ in range(size)]
        self.guilty = {id(self.tickets[index]) for index in guilty}
        self.runs = 0

    async def attempt(self, tickets: Sequence[Ticket]) -> None:
        self.runs += 1
        if any(id(ticket) in self.guilty for ticket in tickets):
            raise InputRefused("poison")
        for ticket in tickets:
            ticket.succeed({"y": np.zeros(1)})

    def judge(self) -> None:
        async def search() -> None:
            try:
                await self.attempt(self.tickets)
            except InputRefused as error:
                await isolate(self.tickets, error, self.attempt)

        asyncio.run(search())

    def failed(self) -> set[int]:
        return {index for index, ticket in enumerate(self.tickets) if ticket.error is not None}


@pytest.mark.parametrize("bad", range(1, 33))
def test_k_bad_in_32_are_found_exactly_within_2k_log2_32_plus_1_runs(bad: int) -> None:
    for seed in range(5):
        guilty = set(random.Random(seed).sample(range(32), bad))
        court = Court(guilty, 32)
        court.judge()
        assert court.failed() == guilty
        assert court.runs <= 2 * bad * math.log2(32) + 1


@pytest.mark.parametrize("size", [64, 100, 256])
def test_eight_bad_ones_are_found_in_a_batch_of_any_size(size: int) -> None:
    guilty = set(random.Random(size).sample(range(size), 8))
    court = Court(guilty, size)
    court.judge()
    assert court.failed() == guilty


def test_the_budget_bounds_the_runs_when_all_are_bad() -> None:
    court = Court(set(range(256)), 256)
    court.judge()
    assert all(ticket.is_done for ticket in court.tickets)
    assert court.runs <= 1 + budget(256) == 1 + 2 * 8 * 8
    assert {type(ticket.error) for ticket in court.tickets} <= {InputRefused, InferenceFailed}


def test_a_worker_lost_during_the_search_ends_it_for_those_it_held() -> None:
    runs: list[int] = []

    async def attempt(tickets: Sequence[Ticket]) -> None:
        runs.append(len(tickets))
        raise WorkerLost("gone")

    tickets = [Ticket({}, 1, arrived=0.0) for _ in range(8)]
    asyncio.run(isolate(tickets, InputRefused("poison"), attempt))
    assert runs == [4, 4], "what was lost with a worker is not offered to the next one"
    assert all(isinstance(ticket.error, WorkerLost) for ticket in tickets)


def test_those_who_left_are_not_run_again() -> None:
    court = Court({0}, 8)
    for ticket in court.tickets[4:]:
        ticket.cancel()
    asyncio.run(isolate(court.tickets, InputRefused("poison"), court.attempt))
    assert court.runs == 5
    assert court.failed() == {0, 4, 5, 6, 7}
