"""Pools that answer through a callback: at once, late, twice, or not at all; and searches cut short."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from models.errors import InferenceFailed, InputRefused
from service.batching.batcher import Batcher, BatchLimits
from service.batching.execution import OnResult, Submit
from service.batching.ticket import Ticket
from service.errors import Cancelled, NotReady, ShuttingDown, WorkerLost
from service.observability.metrics import ModelMeters
from service.workers.base import Arrays, RunResult
from tests.service.batching.test_batcher import item, make
from tests.service.loops import in_loop, until
from tests.service.manifests import vector

MANY = 3000
"""More than the interpreter lets calls nest."""


async def unused(inputs: Arrays) -> RunResult:
    raise AssertionError("a pool that takes callbacks is not awaited")


def over(submit: Submit, limits: BatchLimits | None = None) -> Batcher:
    limits = limits or BatchLimits(max_batch_size=1, max_queue_rows=2 * MANY)
    return Batcher(unused, vector(2), limits, ModelMeters("m", 1), submit=submit)


def double(inputs: Arrays, on_result: OnResult) -> None:
    on_result(RunResult({"y": inputs["x"] * 2}, 0.001))


def lose(inputs: Arrays, on_result: OnResult) -> None:
    on_result(WorkerLost("gone"))


def refuse(inputs: Arrays, on_result: OnResult) -> None:
    raise NotReady("not loaded")


@pytest.mark.parametrize(
    ("submit", "error"), [(double, None), (lose, WorkerLost), (refuse, NotReady)]
)
@in_loop
async def test_a_pool_may_answer_before_it_returns_however_many_batches_wait(
    submit: Submit, error: type[Exception] | None
) -> None:
    batcher = over(submit)
    told: list[Ticket] = []
    for _ in range(MANY):
        batcher.enqueue_item(item(1)).on_done = told.append
    await batcher.close()
    assert len(told) == MANY
    assert {type(ticket.error) for ticket in told} == {error or type(None)}
    assert batcher.is_alive


@in_loop
async def test_the_worker_has_its_next_batch_before_the_answers_of_the_last_are_given() -> None:
    events: list[str] = []
    answers: list[Callable[[], None]] = []

    def submit(inputs: Arrays, on_result: OnResult) -> None:
        events.append("run")
        answers.append(lambda: on_result(RunResult({"y": inputs["x"]}, 0.001)))

    batcher = over(submit)
    for _ in range(2):
        batcher.enqueue_item(item(1)).on_done = lambda ticket: events.append("answer")
    await until(lambda: bool(answers))
    answers.pop()()
    assert events == ["run", "run", "answer"]
    answers.pop()()
    await batcher.close()


@in_loop
async def test_a_second_answer_is_without_effect() -> None:
    def submit(inputs: Arrays, on_result: OnResult) -> None:
        on_result(RunResult({"y": inputs["x"]}, 0.001))
        on_result(WorkerLost("late"))

    batcher = over(submit)
    assert (await batcher.submit(item(1)))["y"].tolist() == [1.0, 1.0]
    await batcher.close()


@in_loop
async def test_a_run_that_was_cancelled_tells_its_callers() -> None:
    runs: list[asyncio.Future[RunResult]] = []

    def run(inputs: Arrays) -> "asyncio.Future[RunResult]":
        runs.append(asyncio.get_running_loop().create_future())
        return runs[-1]

    batcher = make(run)
    answer = batcher.submit(item(1))
    await until(lambda: bool(runs))
    runs[0].cancel()
    with pytest.raises(ShuttingDown):
        await answer


@in_loop
async def test_a_search_for_the_guilty_that_is_cut_short_leaves_nobody_without_an_outcome() -> None:
    runs: list[OnResult] = []

    def submit(inputs: Arrays, on_result: OnResult) -> None:
        runs.append(on_result)

    batcher = over(submit, BatchLimits(max_batch_size=4, max_queue_rows=64))
    tickets = [batcher.enqueue_item(item(value)) for value in range(4)]
    await until(lambda: len(runs) == 1)
    runs[0](InputRefused("poison"))
    await until(lambda: len(runs) == 2)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await batcher.close()
    assert all(isinstance(ticket.error, InferenceFailed) for ticket in tickets)


@in_loop
async def test_a_batch_that_nobody_waits_for_need_not_be_sent_any_more() -> None:
    class Job:
        is_dropped = False

    jobs: list[tuple[Job, OnResult]] = []

    def submit(inputs: Arrays, on_result: OnResult) -> Job:
        jobs.append((Job(), on_result))
        return jobs[-1][0]

    now = [100.0]
    limits = BatchLimits(max_batch_size=2, concurrency=2)
    batcher = Batcher(unused, vector(2), limits, ModelMeters("m", 1), lambda: now[0], submit=submit)
    left, late = batcher.enqueue_item(item(1)), batcher.enqueue_item(item(2), deadline=101.0)
    await until(lambda: len(jobs) == 1)
    stays = batcher.enqueue_item(item(3))
    await until(lambda: len(jobs) == 2)
    left.cancel()
    now[0] = 102.0
    await until(lambda: late.is_done)
    assert [job.is_dropped for job, _ in jobs] == [True, False]
    jobs[0][1](Cancelled("not sent"))
    jobs[1][1](RunResult({"y": np.ones((1, 2))}, 0.001))
    await batcher.close()
    assert stays.outputs is not None


@in_loop
async def test_neighbours_of_poison_get_the_bits_that_they_get_without_it() -> None:
    def submit(inputs: Arrays, on_result: OnResult) -> None:
        poisoned = (inputs["x"] == -1).any()
        if poisoned:
            on_result(InferenceFailed("kernel", "index out of range"))
        else:
            on_result(RunResult({"y": np.tanh(inputs["x"])}, 0.001))

    batcher = over(submit, BatchLimits(max_batch_size=8, max_queue_rows=64))
    values = [0.1, 0.2, -1.0, 0.4, 0.5, 0.6, 0.7, 0.8]
    tickets = [batcher.enqueue_item(item(value)) for value in values]
    await batcher.close()
    for value, ticket in zip(values, tickets, strict=True):
        if value == -1:
            assert isinstance(ticket.error, InferenceFailed)
        else:
            assert ticket.outputs is not None
            assert ticket.outputs["y"].tobytes() == np.tanh(item(value)["x"]).tobytes()
