"""V2 infer for the router: the description in `/docs`, and whatever the fast lane lets through.

That is an unknown or unready model, a compressed or chunked body, a header that cannot be read, and a path
written in an unusual way.
"""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.connection import while_connected
from service.inference import InferEndpoint
from service.lifecycle.leases import caller_of
from service.protocol import v2_openapi
from service.routes.context import acquired, arrived
from service.settings import Settings

router = APIRouter(prefix="/v2", tags=["v2"])

_OPENAPI: dict[str, Any] = {
    "parameters": v2_openapi.HEADERS,
    "requestBody": {"required": True, "content": v2_openapi.bodies()},
    "responses": {"200": {"description": "the outputs", "content": v2_openapi.answers()}},
}


@router.post("/models/{name}/infer", summary="Tensors in, tensors out", openapi_extra=_OPENAPI)
async def infer(request: Request, name: str) -> Response:
    return await _infer(request, name, None)


@router.post(
    "/models/{name}/versions/{version}/infer",
    summary="Tensors in, tensors out, from one version",
    openapi_extra=_OPENAPI,
)
async def infer_version(request: Request, name: str, version: str) -> Response:
    return await _infer(request, name, version)


async def _infer(request: Request, name: str, version: str | None) -> Response:
    settings: Settings = request.app.state.settings
    model = await acquired(request, name, version)
    endpoint = InferEndpoint(model, settings.timeouts, settings.compress_above_bytes)
    headers = _joined(request.scope["headers"])
    caller = caller_of(request.scope)
    work = endpoint.answer(headers, await request.body(), arrived(request), caller)
    answer, queue_s, infer_s = await while_connected(request, work)
    request.scope["slipway.times"] = queue_s, infer_s
    response = Response(answer.body)
    timing = b"queue;dur=%.3f, infer;dur=%.3f" % (queue_s * 1e3, infer_s * 1e3)
    response.raw_headers += [*answer.headers(), (b"server-timing", timing)]
    return response


def _joined(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Values of a repeated header joined by commas, so that a second one cannot hide behind the first."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers
