"""The hot path, ahead of FastAPI's router: one dictionary look-up from path to model, bytes in, bytes out.

Everything else passes through untouched. Order matters here more than elsewhere: what happens per request
was measured, and routing, dependency injection and pydantic would halve the throughput of small models.
"""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from models.errors import SlipwayError
from service import body
from service.errors import Cancelled, ShuttingDown
from service.inference import InferEndpoint
from service.metrics import ModelMeters
from service.observe import Observer
from service.registry import ModelRegistry, ServedModel
from service.responses import Internal, error_body, retry_after

_log = logging.getLogger("slipway.fastlane")

ENDPOINT = "/v2/infer"

RawHeaders = list[tuple[bytes, bytes]]


class FastLane:
    """ASGI application around `app`. Follows the registry; belongs to the event loop."""

    def __init__(
        self,
        app: ASGIApp,
        registry: ModelRegistry,
        observer: Observer,
        *,
        max_body_bytes: int,
        request_timeout_s: float,
    ) -> None:
        self._app = app
        self._registry = registry
        self._observer = observer
        self._max_body_bytes = max_body_bytes
        self._timeout_s = request_timeout_s
        self._endpoints: dict[str, InferEndpoint] = {}
        self._by_model: dict[ServedModel, InferEndpoint] = {}
        registry.on_change(self._rebuild)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._endpoints.get(scope["path"])
            if endpoint is not None and endpoint.model.is_ready:
                await self._infer(endpoint, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _rebuild(self) -> None:
        self._by_model = {
            model: self._by_model.get(model) or InferEndpoint(model, self._timeout_s)
            for model in self._registry
            if model.state == "ready"
        }
        self._endpoints = {
            f"/v2/models/{model.key.name}/versions/{model.key.version}/infer": endpoint
            for model, endpoint in self._by_model.items()
        }
        for model in self._registry.newest():
            if model in self._by_model:
                path = f"/v2/models/{model.key.name}/infer"
                self._endpoints[path] = self._by_model[model]

    async def _infer(
        self, endpoint: InferEndpoint, scope: Scope, receive: Receive, send: Send
    ) -> None:
        began = time.perf_counter()
        meters = endpoint.model.meters
        meters.in_flight += 1
        code, reason, given = 499, Cancelled.reason, dict(scope["headers"])
        request_id = self._observer.request_id(given.get(b"x-request-id"))
        headers: RawHeaders = [(b"x-request-id", request_id.encode("ascii"))]
        trace = self._observer.trace(given.get(b"traceparent"))
        if trace is not None:
            headers.append((b"traceparent", trace.header))
        try:
            code, reason, content = await self._answer(endpoint, given, receive, headers, began)
            if code != Cancelled.status:
                headers.append((b"content-type", b"application/json"))
                headers.append((b"content-length", b"%d" % len(content)))
                await send({"type": "http.response.start", "status": code, "headers": headers})
                await send({"type": "http.response.body", "body": content})
        finally:
            seconds = time.perf_counter() - began
            _count(meters, code, reason, seconds)
            self._observer.record(
                "POST",
                scope["path"],
                request_id,
                code,
                seconds,
                endpoint=ENDPOINT,
                model=endpoint.label,
                reason=reason,
                trace=trace,
            )

    async def _answer(
        self,
        endpoint: InferEndpoint,
        given: dict[bytes, bytes],
        receive: Receive,
        headers: RawHeaders,
        began: float,
    ) -> tuple[int, str, bytes]:
        """(status, reason, body); adds the headers that depend on what happened."""
        request_id = headers[0][1].decode("ascii")
        try:
            data = await body.read(receive, given.get(b"content-length"), self._max_body_bytes)
            content, queue_s, infer_s = await endpoint.answer(given, data)
        except SlipwayError as error:
            return _refusal(error, request_id, headers)
        except asyncio.CancelledError:  # by the server alone, when its grace period is over
            return _refusal(
                ShuttingDown("the server is ending; send it again"), request_id, headers
            )
        except Exception:  # a defect of ours: the caller gets the id, the log the rest
            _log.exception("%s: unexpected", request_id)
            return _refusal(Internal(), request_id, headers)
        total_s = time.perf_counter() - began
        timing = b"queue;dur=%.3f, infer;dur=%.3f, total;dur=%.3f"
        headers.append((b"server-timing", timing % (queue_s * 1e3, infer_s * 1e3, total_s * 1e3)))
        return 200, "", content


def _refusal(error: SlipwayError, request_id: str, headers: RawHeaders) -> tuple[int, str, bytes]:
    seconds = retry_after(error)
    if seconds is not None:
        headers.append((b"retry-after", seconds.encode("ascii")))
    if error.status == 413:  # the rest of the body is not worth reading
        headers.append((b"connection", b"close"))
    return error.status, error.reason, error_body(error, request_id)


def _count(meters: ModelMeters, code: int, reason: str, seconds: float) -> None:
    meters.in_flight -= 1
    meters.answered(ENDPOINT, code, seconds, reason)
