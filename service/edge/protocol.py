"""One connection: collects a request within the limits, has it answered, then looks for the next.

A request is handed on only when all of it is here and sound: to the fast lane, or through uvicorn's
parser to the application. So neither sees a drip, a stall or a broken frame, and only one request of a
connection is under way at a time; what follows it on the wire waits. Deadlines are the sweeper's.

Not promised: serving a caller that shuts its sending half (it counts as gone), and HTTP/2.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from models.errors import SlipwayError
from service.body import too_large
from service.edge.chunks import ChunkScanner
from service.edge.exchange import Exchange
from service.edge.head import END, Head, check_unfinished, log_names, read_head, too_many_bytes
from service.edge.lane import Lane
from service.edge.refusals import refusal
from service.edge.sweeper import Sweeper
from service.errors import BadHttp, RequestTimeout, ShuttingDown
from service.observability.observe import Observer
from service.settings import Settings

NEW: Final = 0  # connected, nothing came yet
IDLE: Final = 1  # answered, nothing of a next request is here
HEAD: Final = 2
BODY: Final = 3
LANE: Final = 4  # under way in the fast lane
APP: Final = 5  # under way in the application
LINGER: Final = 6  # refused; what still comes is thrown away, so that the refusal can be read

_MOST_AHEAD_BYTES = 64 << 10
_LINGER_S = 2.0
_LAST_REQUEST_S = 2.0  # what is half here when the server ends
_LAST_CALL_S = 0.08  # less than uvicorn waits before it looks whether connections are gone
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SILENT = "silent_connection"
_SLOW_READER = "slow_reader"


@dataclass(frozen=True)
class Limits:
    """What one connection may take; from the settings of the same names."""

    max_body_bytes: int
    max_header_bytes: int
    max_headers: int
    header_timeout_s: float
    body_gap_timeout_s: float
    body_timeout_s: float
    write_timeout_s: float
    keep_alive_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        return cls(**{name: getattr(settings, name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Edge:
    """What the connections of one server share."""

    limits: Limits
    lane: Lane
    observer: Observer
    sweeper: Sweeper
    clock: Callable[[], float] = time.monotonic


class EdgeProtocol(HttpToolsProtocol):
    def __init__(
        self,
        edge: Edge,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._edge = edge
        self._limits = edge.limits
        self._sweeper = edge.sweeper
        self._known = edge.lane.known
        self._clock = edge.clock
        self._phase = NEW
        self._since = 0.0  # sweeper's time that the phase's limit counts from
        self._began = 0.0  # when the request's head was complete
        self._body_since = 0.0
        self._ending_since: float | None = None
        self._stuck_since: float | None = None
        self._unsent_bytes = 0
        self._is_held = False
        self._is_parsed = False
        self._head: Head | None = None
        self._part = bytearray()  # of a head, or of a body
        self._ahead = bytearray()  # came behind the request that is under way
        self._chunks: ChunkScanner | None = None
        self._exchange: Exchange = None  # type: ignore[assignment]  # made with the connection

    # -- the connection ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._sweeper.watch(self.connections)  # type: ignore[arg-type]  # all of them are ours
        self._since = self._sweeper.now
        self._exchange = Exchange(self._edge.lane, self.server_state, transport, self._lane_ended)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_held = False
        super().connection_lost(exc)
        if self._phase == LANE:
            self._exchange.abandon()
        self._part = self._ahead = bytearray()

    def shutdown(self) -> None:
        """The server is ending: what is under way or half here is finished, and is the last."""
        self._ending_since = self._sweeper.now
        self._exchange.is_last = True
        if self._phase == APP:
            self.cycle.keep_alive = False
        elif self._phase <= IDLE:
            # A request may lie in the socket's buffer, sent before anyone could know.
            self.loop.call_later(_LAST_CALL_S, self._close_if_idle)

    def give_up(self) -> None:
        """The grace period is over."""
        if self._phase == LANE:
            self._exchange.abandon(ShuttingDown("the server is ending; send it again"))

    def _close_if_idle(self) -> None:
        if self._phase <= IDLE:
            self.transport.close()

    # -- receiving --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase <= IDLE:
            end = data.find(END) + 4
            head = self._known.get(data[:end])
            if head is not None and head.body_bytes == len(data) - end:
                # The usual request of a usual client: known head, whole body, all in one piece.
                self._phase = LANE
                began = self._sweeper.arrival(self._clock())
                if self._exchange.begin(head, data[end:], began):
                    return
                self._phase = phase
            self._start_head(data)
        elif phase == HEAD:
            self._more_head(data)
        elif phase == BODY:
            self._since = self._sweeper.now
            self._more_body(data)
        elif phase != LINGER:
            self._ahead += data
            if len(self._ahead) > _MOST_AHEAD_BYTES:
                self.flow.pause_reading()

    def _start_head(self, data: bytes) -> None:
        self._phase = HEAD
        self._since = self._sweeper.now
        self._more_head(data)

    def _more_head(self, data: bytes) -> None:
        part, most = self._part, self._limits.max_header_bytes
        searched = max(0, len(part) - len(END))
        part += data
        if searched == 0 and part.startswith(b"\r\n"):
            del part[:2]  # an empty line is let pass: old clients end a body with one
            if not part:
                self._phase = IDLE
                return
        end = part.find(END, searched)
        try:
            if end < 0:
                check_unfinished(part, most)
                return
            raw = bytes(part[: end + len(END)])
            if len(raw) > most:
                check_unfinished(part[:end], most)
                raise too_many_bytes(most)
            head = self._edge.lane.planned(read_head(raw, self._limits.max_headers))
        except SlipwayError as error:
            self.refuse(error)
            return
        rest = bytes(part[len(raw) :])
        self._part = bytearray()
        self._start_body(head, rest)

    def _start_body(self, head: Head, rest: bytes) -> None:
        self._head, self._phase = head, BODY
        self._began = self._sweeper.arrival(self._clock())
        self._since = self._body_since = self._sweeper.now
        most = self._limits.max_body_bytes
        if head.body_bytes is None:
            self._chunks = ChunkScanner(most)
        elif head.body_bytes > most:
            self.refuse(too_large(most))
            return
        self._more_body(rest)
        if self._phase == BODY and head.expects_continue:
            self.transport.write(_CONTINUE)

    def _more_body(self, data: bytes) -> None:
        head, part, chunks = self._head, self._part, self._chunks
        assert head is not None
        if chunks is None:
            assert head.body_bytes is not None
            used = head.body_bytes - len(part)
        else:
            try:
                used = chunks.feed(data)
            except SlipwayError as error:
                self.refuse(error)
                return
        if used < len(data):
            self._ahead += data[used:]
            data = data[:used]
        part += data
        if len(part) == head.body_bytes or (chunks is not None and chunks.is_complete):
            self._chunks, self._part = None, bytearray()
            self._dispatch(head, bytes(part))

    # -- answering --------------------------------------------------------------------------------

    def _dispatch(self, head: Head, body: bytes) -> None:
        if head.plan is not None:
            self._phase = LANE
            if self._exchange.begin(head, body, self._began):
                return
        self._phase = APP
        self._is_parsed = False
        try:
            self.parser.feed_data(head.without_upgrade())
            if body:
                self.parser.feed_data(body)
        except httptools.HttpParserError:
            self._is_parsed = False
        if not self._is_parsed:
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.disconnected = True  # begun, but not to be answered by the application
            self.refuse(BadHttp("the request is not valid HTTP/1.1"))
        else:
            self.scope["slipway.arrived"] = self._began  # type: ignore[typeddict-unknown-key]
            if self._ending_since is not None:
                self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._is_parsed = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The application's answer was written."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._next()

    def _lane_ended(self) -> None:
        if self.transport.is_closing():
            return
        if self._exchange.is_last:
            self.transport.close()
        else:
            self._next()

    def _next(self) -> None:
        if self.flow.write_paused:  # a caller that does not read its answers sends no more requests
            self._is_held = True
            return
        self._phase, self._since, self._head = IDLE, self._sweeper.now, None
        if self._ahead:
            # In a turn of its own: a thousand bad requests in one packet must not nest.
            self._phase = APP
            self.loop.call_soon(self._take_ahead)

    def _take_ahead(self) -> None:
        if self.transport.is_closing():
            return
        data, self._ahead = bytes(self._ahead), bytearray()
        self._phase = IDLE
        self.flow.resume_reading()
        self.data_received(data)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_held:
            self._is_held = False
            self._next()

    def refuse(self, error: SlipwayError) -> None:
        """Answer what is no request, or not to be read to its end; the connection's last words."""
        if self.transport.is_closing():
            return
        head, observer = self._head, self._edge.observer
        if head is None:
            method, path = log_names(self._part)
            given = None
        else:
            method, path, given = head.method, head.path, head.headers.get(b"x-request-id")
        seconds = self._sweeper.now - self._since if self._phase != APP else 0.0
        request_id = observer.request_id(given)
        observer.metrics.other("edge", error.status, error.reason)
        observer.record(method, path, request_id, error.status, seconds, reason=error.reason)
        self.transport.write(
            refusal(error, request_id, self.server_state.default_headers, closes=True)
        )
        self._part = self._ahead = bytearray()
        self._phase, self._since = LINGER, self._sweeper.now
        # Closing at once would send a reset while bytes are still coming, and the caller might
        # never see the answer.
        self.flow.resume_reading()
        self.transport.write_eof()

    # -- deadlines --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        if self.transport.is_closing() or self.flow.write_paused:
            self._sweep_unread(now)
            return
        self._stuck_since = None
        limits, phase, waited_s = self._limits, self._phase, now - self._since
        if phase in (HEAD, BODY):
            self._sweep_request(now, waited_s)
        elif phase == IDLE and waited_s > limits.keep_alive_s:
            self.transport.close()
        elif phase == NEW and waited_s > limits.header_timeout_s:
            self._edge.observer.metrics.other("edge", RequestTimeout.status, _SILENT)
            self.transport.close()
        elif phase == LINGER and (waited_s > _LINGER_S or self._ending_since is not None):
            self.transport.close()

    def _sweep_request(self, now: float, waited_s: float) -> None:
        limits = self._limits
        if self._ending_since is not None and now - self._ending_since > _LAST_REQUEST_S:
            self.refuse(ShuttingDown("the server is ending; send it again"))
        elif self._phase == HEAD:
            if waited_s > limits.header_timeout_s:
                self.refuse(RequestTimeout("the request's headers did not arrive in time"))
        elif waited_s > limits.body_gap_timeout_s or now - self._body_since > limits.body_timeout_s:
            self.refuse(RequestTimeout("the request's body did not arrive in time"))

    def _sweep_unread(self, now: float) -> None:
        """Something written is still here: the caller reads slowly, or not at all."""
        unsent = self.transport.get_write_buffer_size()
        if self._stuck_since is None or unsent != self._unsent_bytes:
            self._stuck_since, self._unsent_bytes = now, unsent
        elif now - self._stuck_since > self._limits.write_timeout_s:
            self._edge.observer.metrics.other("edge", 499, _SLOW_READER)
            self.transport.abort()
