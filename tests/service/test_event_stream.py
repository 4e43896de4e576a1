"""Event streams: refusals before the first event, failures after it, callers that leave, the server's end."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import Request

from models.errors import SlipwayError
from service.errors import QueueFull, WorkerLost
from service.event_stream import Events, EventStream
from service.observability.written import WrittenMeters
from service.protocol import sse
from tests.service.loops import in_loop


class Caller:
    """An ASGI caller: `leave` ends it; while `is_stuck` it takes nothing."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.left = asyncio.Event()
        self.takes = asyncio.Event()
        self.takes.set()
        self.scope: dict[str, Any] = {"type": "http", "headers": []}

    @property
    def request(self) -> Request:
        return Request(self.scope, self.receive)

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.takes.wait()
        self.sent.append(message)


class Source:
    """Numbers; then an error, silence, or the end."""

    def __init__(
        self, count: int, error: Exception | None = None, *, is_silent: bool = False
    ) -> None:
        self._count, self._error, self._is_silent = count, error, is_silent
        self.is_closed = False

    async def events(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self._count):
                yield sse.event(number)
            if self._error is not None:
                raise self._error
            if self._is_silent:
                await asyncio.Event().wait()
        finally:
            self.is_closed = True


def words(error: SlipwayError) -> bytes:
    return sse.event(error.reason) + sse.DONE


async def begun(caller: Caller, events: Events, meters: WrittenMeters) -> EventStream:
    return await EventStream.begun(caller.request, events, words, meters, {"x-more": "1"})


@in_loop
async def test_events_are_sent_with_a_streams_headers() -> None:
    caller, source, meters = Caller(), Source(3), WrittenMeters()
    stream = await begun(caller, source.events(), meters)
    await stream(caller.scope, caller.receive, caller.send)
    headers = dict(caller.sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"cache-control"] == b"no-cache"
    assert headers[b"x-more"] == b"1"
    assert b"content-length" not in headers
    assert caller.text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert [message.get("more_body") for message in caller.sent[-2:]] == [True, False]
    assert source.is_closed
    assert meters.streams_open == 0


@in_loop
async def test_what_fails_before_the_first_event_is_raised() -> None:
    caller, source = Caller(), Source(0, QueueFull("full"))
    with pytest.raises(QueueFull):
        await begun(caller, source.events(), WrittenMeters())
    assert not caller.sent
    assert source.is_closed


@pytest.mark.parametrize(
    ("error", "reason"), [(WorkerLost("gone"), "worker_lost"), (KeyError("odd"), "internal")]
)
@in_loop
async def test_what_fails_after_it_is_the_last_event(error: Exception, reason: str) -> None:
    caller, source = Caller(), Source(2, error)
    stream = await begun(caller, source.events(), WrittenMeters())
    await stream(caller.scope, caller.receive, caller.send)
    events = caller.text.split("\n\n")
    assert json.loads(events[2].removeprefix("data: ")) == reason
    assert events[3] == "data: [DONE]"
    assert caller.scope["slipway.reason"] == reason
    assert caller.sent[-1]["more_body"] is False


@pytest.mark.parametrize("is_stuck", [False, True])
@in_loop
async def test_a_caller_that_leaves_ends_the_producer(is_stuck: bool) -> None:
    caller, source, meters = Caller(), Source(2, is_silent=True), WrittenMeters()
    stream = await begun(caller, source.events(), meters)
    if is_stuck:
        caller.takes.clear()
    running = asyncio.ensure_future(stream(caller.scope, caller.receive, caller.send))
    while meters.streams_open == 0:
        await asyncio.sleep(0)
    caller.left.set()
    await running
    assert source.is_closed
    assert caller.scope["slipway.reason"] == "cancelled"
    assert meters.streams_open == 0


@in_loop
async def test_the_servers_end_is_told_in_the_stream() -> None:
    caller, source = Caller(), Source(1, is_silent=True)
    stream = await begun(caller, source.events(), WrittenMeters())
    running = asyncio.ensure_future(stream(caller.scope, caller.receive, caller.send))
    while not caller.text:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert caller.text == 'data: 0\n\ndata: "shutting_down"\n\ndata: [DONE]\n\n'
    assert caller.sent[-1]["more_body"] is False
    assert source.is_closed
