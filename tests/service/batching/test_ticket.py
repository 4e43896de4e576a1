"""One outcome, told once, at once."""

import asyncio
import logging

import numpy as np
import pytest

from models.errors import InferenceFailed
from service.batching.ticket import Arrays, Parts, Ticket
from service.errors import Cancelled
from tests.service.loops import in_loop

ANSWER = {"y": np.ones(2)}


def ticket(**given: object) -> Ticket:
    return Ticket({"x": np.ones(2)}, 1, arrived=0.0, **given)  # type: ignore[arg-type]


class Queue:
    def __init__(self) -> None:
        self.departed: list[Ticket] = []

    def left(self, ticket: Ticket) -> None:
        self.departed.append(ticket)


def test_the_first_outcome_stays_and_is_told_once() -> None:
    told: list[Ticket] = []
    it = ticket(on_done=told.append)
    it.succeed(ANSWER)
    it.fail(InferenceFailed("late"))
    it.succeed({})
    it.cancel()
    assert told == [it]
    assert (it.outputs, it.error, it.is_done) == (ANSWER, None, True)


def test_its_place_knows_before_anybody_else() -> None:
    queue = Queue()
    it = ticket(on_done=lambda done: order.append(list(queue.departed)))
    order: list[list[Ticket]] = []
    it.place = queue
    it.cancel()
    assert order == [[it]]
    assert it.place is None
    assert isinstance(it.error, Cancelled)


def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    it = ticket(on_done=lambda done: 1 / 0)
    with caplog.at_level(logging.ERROR, "slipway.ticket"):
        logging.getLogger("slipway").propagate = True
        it.succeed(ANSWER)
    assert it.outputs is ANSWER


@in_loop
async def test_it_can_be_awaited_before_and_after_its_outcome() -> None:
    early, late = ticket(), ticket()
    waiting = asyncio.ensure_future(early.future)
    early.succeed(ANSWER)
    late.fail(InferenceFailed("no"))
    assert await waiting is ANSWER
    with pytest.raises(InferenceFailed):
        await late.future


@in_loop
async def test_cancelling_the_future_or_the_task_that_awaits_it_cancels_the_ticket_at_once() -> (
    None
):
    first, second = ticket(), ticket()
    first.future.cancel()
    assert isinstance(first.error, Cancelled)

    async def wait() -> Arrays:
        return await second.future

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    assert isinstance(second.error, Cancelled)
    with pytest.raises(asyncio.CancelledError):
        await task


@in_loop
async def test_a_cancelled_ticket_cancels_its_future() -> None:
    it = ticket()
    future = it.future
    it.cancel()
    assert future.cancelled()


# -- split requests -----------------------------------------------------------------------------------


def join(parts: list[Arrays]) -> Arrays:
    return {"y": np.concatenate([part["y"] for part in parts])}


def family() -> tuple[Ticket, list[Ticket]]:
    parent, parts = ticket(), [ticket() for _ in range(3)]
    Parts(parent, parts, join)
    return parent, parts


def test_a_request_follows_its_parts_in_their_order_whoever_ends_first() -> None:
    parent, parts = family()
    for index in (2, 0, 1):
        assert not parent.is_done
        parts[index].queue_s, parts[index].infer_s = index, 1.0
        parts[index].succeed({"y": np.full(1, index)})
    assert parent.outputs is not None
    assert parent.outputs["y"].tolist() == [0, 1, 2]
    assert (parent.queue_s, parent.infer_s) == (2, 3.0)


def test_the_first_failed_part_fails_the_request_and_withdraws_the_others() -> None:
    parent, parts = family()
    queue = Queue()
    parts[2].place = queue
    parts[0].succeed(ANSWER)
    error = InferenceFailed("no")
    parts[1].fail(error)
    assert parent.error is error
    assert queue.departed == [parts[2]]


def test_a_caller_that_leaves_takes_the_waiting_parts_along() -> None:
    parent, parts = family()
    parts[0].succeed(ANSWER)
    parent.cancel()
    assert [type(part.error) for part in parts] == [type(None), Cancelled, Cancelled]


def test_parts_whose_answers_do_not_fit_together_fail_the_request() -> None:
    parent, parts = family()
    for width, part in enumerate(parts):
        part.succeed({"y": np.ones((1, width))})
    assert isinstance(parent.error, InferenceFailed)
