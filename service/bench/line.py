"""One keep-alive HTTP/1.1 connection of the load generator: a request out, its answer in as it comes.

As little as possible, for it shares the cores with the server that it measures: no tasks, no queues, one
callback per answer, the parser of uvicorn (httptools). The clock is read once per part that arrives.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

import httptools

from service.bench.answers import ErrorReader, Reader
from service.bench.exchange import Exchange

OnEnd = Callable[["Line", Exchange], None]
NewReader = Callable[[Exchange], Reader]


class Line(asyncio.Protocol):
    """At most one request at a time; `on_end` may send the next."""

    def __init__(self, new_reader: NewReader, on_end: OnEnd) -> None:
        self._new_reader, self._on_end = new_reader, on_end
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._reader: Reader | None = None
        self._now = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, exchange: Exchange) -> None:
        assert self._exchange is None, "the line is taken"
        self._exchange = exchange
        exchange.sent_s = time.perf_counter()
        if self._transport is None:
            self._broken("not connected")
        else:
            self._transport.write(request)

    def close(self) -> None:
        """Whatever is under way is given up without a word: the load is over."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._now = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._broken("answer is not HTTP")
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._broken("connection lost")

    # -- httptools --------------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        exchange.status = self._parser.get_status_code()
        is_good = exchange.status == 200
        self._reader = self._new_reader(exchange) if is_good else ErrorReader(exchange)

    def on_body(self, body: bytes) -> None:
        if self._reader is not None:
            self._reader.feed(body, self._now)

    def on_message_complete(self) -> None:
        if self._exchange is None or self._exchange.status < 200:
            return
        if self._reader is not None:
            self._reader.end()
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._finish(self._now)

    # -- both -------------------------------------------------------------------------------------

    def _broken(self, why: str) -> None:
        if self._exchange is not None:
            self._exchange.error = self._exchange.error or why
            self._finish(time.perf_counter())

    def _finish(self, now: float) -> None:
        exchange, self._exchange, self._reader = self._exchange, None, None
        if exchange is not None:
            exchange.ended_s = now
            self._on_end(self, exchange)
