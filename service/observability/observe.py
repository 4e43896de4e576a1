"""Around every request: its id, its trace, its counters, its Server-Timing, its record.

The fast lane calls `Observer` directly; everything else passes through the `Observed` layer. Records are
collected and handed on a few times a second: the access log and the span export write them in threads of
their own, because neither a full pipe nor a distant collector may hold up the event loop.
"""

import asyncio
import re
import secrets
import time
from itertools import count

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.body import limited
from service.errors import ShuttingDown
from service.observability.access_log import AccessLog, line
from service.observability.metrics import Metrics
from service.observability.records import Record, Recorder
from service.observability.spans import SpanExport
from service.observability.trace_context import Trace, by_chance, child_of, new_trace
from service.responses import Internal, error_response

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_FLUSH_S = 0.2
_MOST_COLLECTED = 128  # a fifth of a millisecond's work
_MOST_LINES = 1024  # waking the thread that writes them costs the loop about as much as ten lines


class Observer:
    """`log` receives one JSON line per request, None writes none; `spans` exports a share
    (`sample_share`) of the traces that begin here, and those whose callers sampled them."""

    def __init__(
        self,
        metrics: Metrics,
        log: AccessLog | None = None,
        spans: SpanExport | None = None,
        sample_share: float = 0.0,
    ) -> None:
        self.metrics = metrics
        self._log = None if log is None else Recorder("access log", log.write)
        self._spans = None if spans is None else Recorder("spans", spans.write)
        self._sample_share = 0.0 if spans is None else sample_share
        self._is_recording = bool(self._log or self._spans)
        self._records: list[Record] = []
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        # Unique over restarts and replicas, and far cheaper than a UUID per request.
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)
        metrics.records_dropped = self._dropped

    def request_id(self, given: bytes | None) -> str:
        """The caller's id when it is harmless to repeat, else a new one."""
        if given is not None and _ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"

    def trace(self, given: bytes | None) -> Trace | None:
        """Our span for the caller's `traceparent`, to be sent back as `trace.header`.

        None when none was sent, unless this request is one of the share that is traced all the same.
        """
        if given is None:
            if not self._sample_share or not by_chance(self._sample_share):
                return None
            return new_trace(is_sampled=True)
        return child_of(given) or new_trace(by_chance(self._sample_share))

    def record(
        self,
        method: str,
        path: str,
        request_id: str,
        code: int,
        seconds: float,
        *,
        endpoint: str = "",
        model: str = "",
        reason: str = "",
        trace: Trace | None = None,
        queue_s: float = 0.0,
        infer_s: float = 0.0,
        batch_rows: int = 0,
    ) -> None:
        """A request has ended: to be logged and exported, soon. `model`: name/version."""
        if not self._is_recording:
            return
        values = (
            time.time(), request_id, method, path, code, seconds, endpoint, model, reason,
            trace, queue_s, infer_s, batch_rows,
        )  # fmt: skip
        self._records.append(tuple.__new__(Record, values))  # a third of what Record(...) costs
        if len(self._records) >= _MOST_COLLECTED:
            self._collect()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._hand_on)

    def flush(self) -> None:
        """Have everything written, at the end; waits a second at most."""
        self._hand_on()
        if self._log is not None:
            self._log.flush()
        if self._spans is not None:
            self._spans.flush()

    def _hand_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._collect()
        if self._log is not None and self._lines:
            lines, self._lines = self._lines, []
            self._log.put(lines)

    def _collect(self) -> None:
        records, self._records = self._records, []
        if self._log is not None:
            # Made here, not by the thread: two threads that compute take turns at a price. And many at
            # once: one at a time, between other work, takes twice as long.
            self._lines += [line(record) for record in records]
            if len(self._lines) >= _MOST_LINES:
                lines, self._lines = self._lines, []
                self._log.put(lines)
        if self._spans is not None:
            traced = [r for r in records if r.trace is not None and r.trace.is_sampled]
            if traced:
                self._spans.put(traced)

    def _dropped(self) -> dict[str, int]:
        """Sink → records that it could not take."""
        named = {"access_log": self._log, "spans": self._spans}
        return {name: sink.dropped for name, sink in named.items() if sink is not None}


class Observed:
    """ASGI layer around the FastAPI application."""

    def __init__(self, app: ASGIApp, observer: Observer, max_body_bytes: int) -> None:
        self._app = app
        self._observer = observer
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = dict(scope["headers"])
        request_id = self._observer.request_id(headers.get(b"x-request-id"))
        scope["slipway.request_id"] = request_id
        scope.setdefault("slipway.arrived", time.monotonic())  # the edge knows better, where it is
        trace = self._observer.trace(headers.get(b"traceparent"))
        answer = _Answer(send, request_id, began, trace)
        receive = limited(receive, headers.get(b"content-length"), self._max_body_bytes)
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:  # by the server alone, when its grace period is over
            if answer.code == 0:
                error = ShuttingDown("the server is ending; send it again")
                scope["slipway.reason"] = error.reason
                await error_response(error, request_id)(scope, receive, answer.send)
        except Exception:  # the application has logged it, and answered 500 if it still could
            if answer.code == 0:
                await error_response(Internal(), request_id)(scope, receive, answer.send)
        finally:
            self._count(scope, request_id, answer.code or 499, time.perf_counter() - began, trace)

    def _count(
        self, scope: Scope, request_id: str, code: int, seconds: float, trace: Trace | None
    ) -> None:
        reason = scope.get("slipway.reason", "cancelled" if code == 499 else "")
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        key = scope.get("slipway.model")
        metrics = self._observer.metrics
        if key is None:
            metrics.other(endpoint, code, reason)
        elif scope["method"] == "POST":
            metrics.model(key).answered(endpoint, code, seconds, reason or "bad_request", trace)
        else:  # a question about the model, not to it
            metrics.model(key).requests[endpoint, code] += 1
        queue_s, infer_s = scope.get("slipway.times", (0.0, 0.0))
        self._observer.record(
            scope["method"],
            scope["path"],
            request_id,
            code,
            seconds,
            endpoint="" if endpoint == "unmatched" else endpoint,
            model="" if key is None else str(key),
            reason=reason,
            trace=trace,
            queue_s=queue_s,
            infer_s=infer_s,
        )


class _Answer:
    """Passes an answer on, with the request's id, its trace and how long it took."""

    def __init__(self, send: Send, request_id: str, began: float, trace: Trace | None) -> None:
        self._send = send
        self._trace = trace
        self._request_id = request_id.encode("ascii")
        self._began = began
        self.code = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            headers = [(name.lower(), value) for name, value in message.get("headers", [])]
            spent_ms = (time.perf_counter() - self._began) * 1e3
            total = b"total;dur=%.3f" % spent_ms
            parts = [value for name, value in headers if name == b"server-timing"]
            headers = [pair for pair in headers if pair[0] != b"server-timing"]
            headers.append((b"server-timing", b", ".join([*parts, total])))
            headers.append((b"x-request-id", self._request_id))
            if self._trace is not None:
                headers.append((b"traceparent", self._trace.header))
            message = {**message, "headers": headers}
        await self._send(message)
