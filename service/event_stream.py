"""An answer that is sent while it is made: server-sent events, one producer per request on the event loop.

The first event is waited for before anything is sent, so that what fails until then is an ordinary refusal
with its status. After it a failure is the stream's last event. A caller that leaves ends the producer at
once, and with it the work in the engine. When the server ends and its grace period is over, a stream is told
so and closed.

Back-pressure: an event is sent when the connection takes it; the producer bounds what waits meanwhile
(`service.choices`), and the edge cuts off a connection that takes nothing for `write_timeout_s`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from models.errors import SlipwayError
from service.connection import until_gone, while_connected
from service.errors import Cancelled, ShuttingDown
from service.observability.written import WrittenMeters
from service.protocol import sse
from service.responses import Internal

_log = logging.getLogger("slipway.stream")

Events = AsyncGenerator[bytes, None]


class EventStream(Response):
    """`events`: what follows `first`. `last_words`: the events that report an error."""

    media_type = sse.MEDIA_TYPE

    def __init__(
        self,
        first: bytes,
        events: Events,
        last_words: Callable[[SlipwayError], bytes],
        meters: WrittenMeters,
        headers: Mapping[str, str],
    ) -> None:
        # Proxies that gather an answer before they pass it on would undo the streaming.
        super().__init__(
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers}
        )
        del self.headers["content-length"]
        self._first, self._events = first, events
        self._last_words = last_words
        self._meters = meters

    @classmethod
    async def begun(
        cls,
        request: Request,
        events: Events,
        last_words: Callable[[SlipwayError], bytes],
        meters: WrittenMeters,
        headers: Mapping[str, str],
    ) -> "EventStream":
        """Once the first event is there. Raises what the producer raises instead, and Cancelled."""
        try:
            first = await while_connected(request, anext(events))
        except BaseException:  # refused, or the caller left: the producer ends either way
            await events.aclose()
            raise
        return cls(first, events, last_words, meters, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._meters.streams_open += 1
        writing = asyncio.ensure_future(self._write(scope, send))
        watching = asyncio.ensure_future(until_gone(receive))
        try:
            await asyncio.wait((writing, watching), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
            else:
                scope["slipway.reason"] = Cancelled.reason
        except asyncio.CancelledError:  # the server's grace period is over
            await _ended(writing)
            error = ShuttingDown("the server is ending; send it again")
            scope["slipway.reason"] = error.reason
            await _send(send, self._last_words(error), is_last=True)
            raise
        finally:
            watching.cancel()
            await _ended(writing)
            await self._events.aclose()
            self._meters.streams_open -= 1

    async def _write(self, scope: Scope, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await _send(send, self._first)
        try:
            async for data in self._events:
                await _send(send, data)
        except SlipwayError as error:
            scope["slipway.reason"] = error.reason
            if error.status == 500:
                _log.error("%s", error, exc_info=error)
            await _send(send, self._last_words(error))
        except Exception as error:  # told like any other: the status has gone out already
            _log.error("a stream failed", exc_info=error)
            scope["slipway.reason"] = Internal.reason
            await _send(send, self._last_words(Internal()))
        await _send(send, b"", is_last=True)


async def _send(send: Send, data: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": not is_last})


async def _ended(task: "asyncio.Future[None]") -> None:
    """Cancel, and wait for its clean-up."""
    task.cancel()
    await asyncio.wait((task,))
