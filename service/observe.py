"""Around every request: its id, its log line, its counters, its Server-Timing.

The fast lane calls `Observer` directly; everything else passes through the `Observed` layer. Log lines
are collected and written a few times a second, because a write per request would cost more than the
request's own bookkeeping.
"""

import asyncio
import logging
import re
import secrets
import sys
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import IO, Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.body import limited
from service.errors import ShuttingDown
from service.metrics import Metrics, ModelMeters
from service.responses import Internal, error_response

_log = logging.getLogger("slipway.access")

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_FLUSH_S = 0.2
_MOST_LINES = 1000
_MOST_PATH = 256


class Observer:
    """`stream` receives one JSON line per request; None writes none."""

    def __init__(self, metrics: Metrics, stream: IO[bytes] | None = None) -> None:
        self.metrics = metrics
        self._stream = stream
        self._lines: list[tuple[float, str, str, str, int, float, str, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        # Unique over restarts and replicas, and far cheaper than a UUID per request.
        self._prefix = secrets.token_hex(6)
        self._numbers = count(1)

    def request_id(self, given: bytes | None) -> str:
        """The caller's id when it is harmless to repeat, else a new one."""
        if given is not None and _ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"

    def log(
        self,
        scope: MutableMapping[str, Any],
        request_id: str,
        code: int,
        seconds: float,
        model: str = "",
        reason: str = "",
    ) -> None:
        if self._stream is None:
            return
        path = scope["path"][:_MOST_PATH]
        self._lines.append(
            (time.time(), request_id, scope["method"], path, code, seconds, model, reason)
        )
        if len(self._lines) >= _MOST_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what was collected. A full disk or a closed pipe stops the log, never the service."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if not lines or self._stream is None:
            return
        try:
            self._stream.write(b"".join(map(_line, lines)))
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._stream = None
            _log.warning("the access log cannot be written any more: %s", error)


@lru_cache(maxsize=4)
def _second(at: float) -> str:
    """UTC to the second; thousands of lines share it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _line(record: tuple[float, str, str, str, int, float, str, str]) -> bytes:
    at, request_id, method, path, code, seconds, model, reason = record
    second, fraction = divmod(at, 1.0)
    entry = {
        "time": f"{_second(second)}.{int(fraction * 1e3):03d}Z",
        "request_id": request_id,
        "method": method,
        "path": path,
        "status": code,
        "duration_ms": round(seconds * 1e3, 3),
    }
    if model:
        entry["model"] = model
    if reason:
        entry["reason"] = reason
    return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE)


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
        answer = _Answer(send, request_id, began)
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
            self._count(scope, request_id, answer.code or 499, time.perf_counter() - began)

    def _count(self, scope: Scope, request_id: str, code: int, seconds: float) -> None:
        reason = scope.get("slipway.reason", "cancelled" if code == 499 else "")
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        key = scope.get("slipway.model")
        if key is None:
            self._observer.metrics.other_requests[endpoint, code] += 1
        else:
            meters: ModelMeters = self._observer.metrics.model(key)
            if scope["method"] == "POST":
                meters.answered(endpoint, code, seconds, reason or "bad_request")
            else:  # a question about the model, not to it
                meters.requests[endpoint, code] += 1
        model = "" if key is None else str(key)
        self._observer.log(scope, request_id, code, seconds, model, reason)


class _Answer:
    """Passes an answer on, with the request's id and how long it took."""

    def __init__(self, send: Send, request_id: str, began: float) -> None:
        self._send = send
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
            message = {**message, "headers": headers}
        await self._send(message)


def access_stream(enabled: bool) -> IO[bytes] | None:
    """Standard output, or nothing."""
    return sys.stdout.buffer if enabled else None
