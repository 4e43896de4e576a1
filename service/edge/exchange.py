"""One request in the fast lane, from its whole body to the written answer. Each connection has one, used
again for its next request.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from uvicorn.server import ServerState

from models.errors import SlipwayError
from service.batching.ticket import Ticket
from service.edge.head import Head
from service.edge.lane import ENDPOINT, Lane, Plan
from service.edge.refusals import refusal
from service.errors import Cancelled
from service.inference import Answer, compressed
from service.observability.trace_context import Trace
from service.protocol.v2 import InferRequest
from service.quota import Place
from service.responses import Internal

_log = logging.getLogger("slipway.lane")

_JSON = b"content-type: application/json\r\n"
_BINARY = b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"


class Exchange:
    """`on_end` is called once per request, when its answer was handed to the transport or given up.

    With `is_last` the answer of the request under way, or of the next, is the connection's last.
    """

    def __init__(
        self,
        lane: Lane,
        state: ServerState,
        transport: asyncio.Transport,
        on_end: Callable[[], None],
    ) -> None:
        self._lane = lane
        self._observer = lane.observer
        self._state = state
        self._transport = transport
        self._on_end = on_end
        self._on_done = self._done  # bound once
        self._plan: Plan | None = None
        self._request: InferRequest | None = None
        self._ticket: Ticket | None = None
        self._trace: Trace | None = None
        self._place: Place | None = None
        self._request_id = ""
        self._began = 0.0
        self.is_last = False

    def begin(self, head: Head, body: bytes, began: float) -> bool:
        """Take the request; False when its model is not ready, which the application tells better."""
        plan = head.plan
        assert plan is not None
        endpoint = plan.endpoint
        if not endpoint.model.is_ready:
            return False
        self._plan, self._began = plan, began
        if not head.keeps_alive:
            self.is_last = True
        headers = head.headers
        self._request_id = self._observer.request_id(headers.get(b"x-request-id"))
        self._trace = self._observer.trace(headers.get(b"traceparent"))
        endpoint.model.meters.in_flight += 1
        try:
            caller = None
            if self._lane.quota is not None:
                self._place = self._lane.quota.enter(headers)
                caller = self._place.caller
            self._request = request = endpoint.codec.decode(body, plan.asked.header_bytes)
            self._ticket = endpoint.enqueue(plan.asked, request, began, self._on_done, caller)
        except SlipwayError as error:
            self._refuse(error)
        except Exception:  # a defect of ours: the caller gets the id, the log the rest
            _log.exception("%s: unexpected", self._request_id)
            self._refuse(Internal())
        return True

    def abandon(self, error: SlipwayError | None = None) -> None:
        """The caller has left, or (with an error, which it is told) will wait no longer."""
        ticket = self._ticket
        if ticket is not None:
            self.is_last = True
            ticket.fail(error or Cancelled("the caller left before the answer"))

    def _done(self, ticket: Ticket) -> None:
        self._ticket = None
        if ticket.outputs is None:
            self._refuse(ticket.error or Internal())
            return
        plan, request = self._plan, self._request
        assert plan is not None
        assert request is not None
        try:
            body, header_bytes = plan.endpoint.codec.encode(ticket.outputs, request)
        except Exception:  # a defect of ours, or of the model's outputs: this caller's alone
            _log.exception("%s: the answer cannot be written", self._request_id)
            self._refuse(Internal())
            return
        if plan.asked.encoding and plan.endpoint.is_worth_compressing(plan.asked, body):
            answer = Answer(body, header_bytes)
            task = asyncio.ensure_future(self._compress(answer, plan, ticket))
            self._lane.compressing.add(task)
            task.add_done_callback(self._lane.compressing.discard)
        else:
            more = _JSON if header_bytes is None else _BINARY % header_bytes
            self._send(body, more, ticket)

    async def _compress(self, answer: Answer, plan: Plan, ticket: Ticket) -> None:
        try:
            answer = await compressed(answer, plan.asked)
        except Exception:  # not compressed, then; the answer itself is sound
            _log.exception("%s: the answer cannot be compressed", self._request_id)
        more = b"".join([b"%b: %b\r\n" % pair for pair in answer.headers()])
        self._send(answer.body, more, ticket)

    def _send(self, body: bytes, more: bytes, ticket: Ticket) -> None:
        """`more`: the header lines that depend on the form of the answer."""
        if self._transport.is_closing():
            self._end(Cancelled.status, Cancelled.reason)
            return
        if self._trace is not None:
            more += b"traceparent: %b\r\n" % self._trace.header
        if self.is_last:
            more += b"connection: close\r\n"
        total_s = time.monotonic() - self._began
        self._transport.write(
            b"%b%b\r\nserver-timing: queue;dur=%.3f, infer;dur=%.3f, total;dur=%.3f\r\n"
            b"%bcontent-length: %d\r\n\r\n%b"
            % (
                self._lane.first(self._state.default_headers),
                self._request_id.encode("ascii"),
                ticket.queue_s * 1e3,
                ticket.infer_s * 1e3,
                total_s * 1e3,
                more,
                len(body),
                body,
            )
        )
        self._end(200, "", ticket, total_s)

    def _refuse(self, error: SlipwayError) -> None:
        if error.status == Cancelled.status or self._transport.is_closing():
            self._end(Cancelled.status, Cancelled.reason)
            return
        spent_ms = (time.monotonic() - self._began) * 1e3
        more = b"server-timing: total;dur=%.3f\r\n" % spent_ms
        if self._trace is not None:
            more += b"traceparent: %b\r\n" % self._trace.header
        answer = refusal(
            error, self._request_id, self._state.default_headers, more, closes=self.is_last
        )
        self._transport.write(answer)
        self._end(error.status, error.reason)

    def _end(
        self, code: int, reason: str, ticket: Ticket | None = None, seconds: float | None = None
    ) -> None:
        if seconds is None:
            seconds = time.monotonic() - self._began
        plan = self._plan
        assert plan is not None
        self._request = None
        meters = plan.endpoint.model.meters
        meters.in_flight -= 1
        if self._place is not None and self._lane.quota is not None:
            self._lane.quota.leave(self._place)
            self._place = None
        meters.answered(ENDPOINT, code, seconds, reason, self._trace)
        self._observer.record(
            "POST",
            plan.path,
            self._request_id,
            code,
            seconds,
            endpoint=ENDPOINT,
            model=plan.endpoint.label,
            reason=reason,
            trace=self._trace,
            queue_s=0.0 if ticket is None else ticket.queue_s,
            infer_s=0.0 if ticket is None else ticket.infer_s,
            batch_rows=0 if ticket is None else ticket.batch_rows,
        )
        self._on_end()
