import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import Request
from starlette.types import Message

from service.connection import while_connected
from service.errors import BadRequest, Cancelled
from tests.service.loops import until


def _request(receive: Callable[[], Awaitable[Message]]) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> Message:
    return {"type": "http.disconnect"}


def test_the_result_and_the_errors_of_the_work_pass_through() -> None:
    async def works() -> int:
        await asyncio.sleep(0)
        return 7

    async def fails() -> int:
        raise BadRequest("no")

    async def scenario() -> None:
        assert await while_connected(_request(never), works()) == 7
        with pytest.raises(BadRequest):
            await while_connected(_request(never), fails())
        await until(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(scenario())


def test_work_for_a_caller_that_left_is_cancelled_and_cleaned_up() -> None:
    async def scenario() -> list[str]:
        seen = []

        async def works() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                seen.append("cleaned up")

        with pytest.raises(Cancelled):
            await while_connected(_request(gone), works())
        assert len(asyncio.all_tasks()) == 1
        return seen

    assert asyncio.run(scenario()) == ["cleaned up"]


def test_cancelling_the_handler_cancels_the_work() -> None:
    async def scenario() -> bool:
        stopped, started = False, asyncio.Event()

        async def works() -> None:
            nonlocal stopped
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped = True

        task = asyncio.create_task(while_connected(_request(never), works()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return stopped

    assert asyncio.run(scenario())
