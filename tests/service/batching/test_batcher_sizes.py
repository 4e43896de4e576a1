"""Sizes, priorities and timeouts through the whole batcher, in simulated time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from models.manifest import Batching, QueuePolicy
from service.batching.batcher import Batcher, limits_of
from service.batching.ticket import Ticket
from service.errors import DeadlineExceeded
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.manifests import vector
from tests.service.virtual_time import run_virtually

Scene = Callable[["Stage"], Coroutine[Any, Any, None]]


@dataclass
class Stage:
    """A batcher over workers that take `seconds_per_row`; remembers (when, first value of each row)."""

    batching: Batching
    workers: int = 1
    seconds_per_row: float = 1.0
    runs: list[tuple[float, list[float]]] = field(default_factory=list)

    async def run(self, inputs: Arrays) -> RunResult:
        loop = asyncio.get_running_loop()
        self.runs.append((round(loop.time() - self.began, 4), inputs["x"][:, 0].tolist()))
        took_s = self.seconds_per_row * len(inputs["x"])
        await asyncio.sleep(took_s)
        return RunResult({"y": inputs["x"]}, took_s)

    def play(self, scene: Scene) -> None:
        async def whole() -> None:
            loop = asyncio.get_running_loop()
            self.began = loop.time()
            self.meters = ModelMeters("m", 1)
            limits = limits_of(self.batching, self.workers)
            self.batcher = Batcher(self.run, vector(2), limits, self.meters, loop.time)
            await scene(self)
            await self.batcher.close()

        run_virtually(whole())

    def ask(self, *values: float, **given: Any) -> Ticket:
        inputs = {"x": np.repeat(np.array(values, np.float32)[:, None], 2, axis=1)}
        return self.batcher.enqueue(inputs, len(values), **given)

    @property
    def batches(self) -> list[list[float]]:
        return [values for _, values in self.runs]


def test_a_queue_delay_is_counted_from_the_oldest_and_not_shrunk_by_arrivals() -> None:
    stage = Stage(Batching(max_batch_size=8, max_queue_delay_microseconds=1_000_000))

    async def scene(stage: Stage) -> None:
        for value in (1, 2, 3):
            stage.ask(value)
            await asyncio.sleep(0.3)
        await asyncio.sleep(0.5)

    stage.play(scene)
    assert stage.runs == [(1.0, [1, 2, 3])]


def test_a_preferred_size_goes_at_once_and_the_rest_when_the_delay_is_over() -> None:
    stage = Stage(
        Batching(
            max_batch_size=8, max_queue_delay_microseconds=1_000_000, preferred_batch_size=(2,)
        ),
        workers=2,
    )

    async def scene(stage: Stage) -> None:
        for value in (1, 2, 3):
            stage.ask(value)
        await asyncio.sleep(1.5)

    stage.play(scene)
    assert stage.runs == [(0.0, [1, 2]), (1.0, [3])]


def test_batches_are_filled_up_to_an_allowed_size_and_real_rows_are_counted() -> None:
    stage = Stage(Batching(max_batch_size=8, allowed_batch_sizes=(4, 8)))
    tickets: list[Ticket] = []

    async def scene(stage: Stage) -> None:
        tickets.extend([stage.ask(1), stage.ask(2, 3)])

    stage.play(scene)
    assert stage.batches == [[1, 2, 3, 3]]
    assert [ticket.outputs["y"][:, 0].tolist() for ticket in tickets] == [[1], [2, 3]]  # type: ignore[index]
    assert (stage.meters.batch_size.total, stage.meters.inference_count) == (3, 3)


def test_parts_of_a_large_request_run_at_once_on_free_workers() -> None:
    stage = Stage(Batching(max_batch_size=2), workers=2)
    tickets: list[Ticket] = []

    async def scene(stage: Stage) -> None:
        tickets.append(stage.ask(1, 2, 3, 4, 5))

    stage.play(scene)
    assert stage.runs == [(0.0, [1, 2]), (0.0, [3, 4]), (2.0, [5])]
    assert tickets[0].outputs is not None
    assert tickets[0].outputs["y"][:, 0].tolist() == [1, 2, 3, 4, 5]


def test_what_waits_is_spread_over_free_workers_once_runs_are_known_to_be_long() -> None:
    stage = Stage(Batching(max_batch_size=8), workers=2, seconds_per_row=0.005)

    async def scene(stage: Stage) -> None:
        stage.ask(0)
        await asyncio.sleep(1)
        for value in range(1, 9):
            stage.ask(value)

    stage.play(scene)
    assert stage.batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert stage.runs[1][0] == stage.runs[2][0] == 1.0


def test_a_request_of_many_rows_is_split_where_that_costs_nothing() -> None:
    """Rows cost the same alone: the request takes both workers, and another does not stand behind it."""
    stage = Stage(Batching(max_batch_size=8), workers=2, seconds_per_row=0.005)
    tickets: list[Ticket] = []
    ended: list[float] = []

    async def scene(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        for value in range(6):
            stage.ask(*[value] * (1 + value % 3))
            await asyncio.sleep(1)
        began = loop.time()

        def done(_: Ticket) -> None:
            ended.append(round(loop.time() - began, 4))

        tickets.append(stage.ask(*range(8), on_done=done))
        tickets.append(stage.ask(9, on_done=done))

    stage.play(scene)
    assert tickets[0].outputs is not None
    assert tickets[0].outputs["y"][:, 0].tolist() == list(range(8))
    assert all(len(values) == 1 for values in stage.batches[-9:])
    assert max(ended) == pytest.approx(0.025, abs=0.001)


def test_a_request_of_many_rows_stays_whole_where_batches_pay() -> None:
    stage = Stage(Batching(max_batch_size=8), workers=1, seconds_per_row=0.00001)

    async def scene(stage: Stage) -> None:
        for value in range(12):
            stage.ask(*[value] * (1 + value % 4))
            await asyncio.sleep(1)
        stage.ask(*range(8))

    stage.play(scene)
    assert stage.batches[-1] == list(range(8))


def test_short_runs_are_not_spread() -> None:
    stage = Stage(Batching(max_batch_size=8), workers=2, seconds_per_row=0.00001)

    async def scene(stage: Stage) -> None:
        stage.ask(0)
        await asyncio.sleep(1)
        for value in range(1, 9):
            stage.ask(value)

    stage.play(scene)
    assert stage.batches == [[0], [1, 2, 3, 4, 5, 6, 7, 8]]


def test_urgent_requests_overtake_those_that_wait() -> None:
    stage = Stage(Batching(max_batch_size=1, priority_levels=3))

    async def scene(stage: Stage) -> None:
        stage.ask(0)
        await asyncio.sleep(0.5)
        stage.ask(3, priority=3)
        stage.ask(2)
        stage.ask(1, priority=1)

    stage.play(scene)
    assert stage.batches == [[0], [1], [2], [3]]


TIMEOUT = {"default_timeout_microseconds": 1_000_000}


@pytest.mark.parametrize(
    ("policy", "own_s", "is_served"),
    [
        (QueuePolicy(**TIMEOUT), None, False),
        (QueuePolicy(**TIMEOUT), 30.0, False),
        (QueuePolicy(**TIMEOUT, allow_timeout_override=True), 30.0, True),
        (QueuePolicy(**TIMEOUT, allow_timeout_override=True), 0.5, False),
        (QueuePolicy(**TIMEOUT, timeout_action="DELAY"), None, True),
        (QueuePolicy(**TIMEOUT, timeout_action="DELAY"), 0.5, False),
    ],
    ids=["default", "own is longer", "override", "own is shorter", "delay", "delay, own shorter"],
)
def test_the_queues_timeout_and_a_requests_own(
    policy: QueuePolicy, own_s: float | None, is_served: bool
) -> None:
    stage = Stage(Batching(max_batch_size=1, default_queue_policy=policy), seconds_per_row=3.0)
    tickets: list[Ticket] = []

    async def scene(stage: Stage) -> None:
        stage.ask(0)
        await asyncio.sleep(0)
        deadline = asyncio.get_running_loop().time() + (own_s or 60.0)
        tickets.append(stage.ask(1, deadline=deadline, is_own_deadline=own_s is not None))

    stage.play(scene)
    assert (tickets[0].outputs is not None) == is_served
    assert is_served or isinstance(tickets[0].error, DeadlineExceeded)
