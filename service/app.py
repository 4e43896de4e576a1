"""The FastAPI application: everything but the hot path, and one OpenAPI document for all of it.

The registry is `app.state.registry`, the settings `app.state.settings`. `server` puts the layers around it
that see every request: the edge with its fast lane, observation, the body limit.
"""

import logging
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from models.errors import SlipwayError
from service.app_info import version
from service.errors import BadRequest, MethodNotAllowed, NotFound
from service.observability.metrics import Metrics
from service.registry import ModelRegistry
from service.responses import Internal, error_response
from service.routes import METRICS, routers
from service.settings import Settings

_log = logging.getLogger("slipway.app")


def create_app(
    registry: ModelRegistry, settings: Settings, metrics: Metrics | None = None
) -> FastAPI:
    app = FastAPI(
        title="Slipway",
        version=version(),
        description="Published models behind batched endpoints.",
        redirect_slashes=False,
        # routes.root serves these; FastAPI's own pages load their parts from another host.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.registry = registry
    app.state.settings = settings
    app.state.metrics = metrics or Metrics({"version": version()})
    app.add_exception_handler(SlipwayError, _on_slipway_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)
    elsewhere = {METRICS} if settings.metrics_port else set()
    for router in routers(without=frozenset(elsewhere)):
        app.include_router(router)
    return app


def request_id(request: Request) -> str:
    """The id that `observe` gave this request."""
    return cast(str, request.scope.get("slipway.request_id", ""))


async def _on_slipway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SlipwayError)
    request.scope["slipway.reason"] = error.reason
    if error.status == 500:
        _log.error("%s: %s", request_id(request), error, exc_info=error)
    response = error_response(error, request_id(request))
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if error.status == 413:  # the rest of the body is not worth reading
        response.headers["connection"] = "close"
    return response


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return await _on_slipway_error(request, BadRequest(f"{where}: {first['msg']}"))


async def _on_http(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, wrong method, broken multipart) in our shape."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, SlipwayError):  # reading the body raised ours, and was wrapped
        return await _on_slipway_error(request, error.__cause__)
    path = request.url.path[:200]
    if error.status_code == 404:
        return await _on_slipway_error(request, NotFound(f"there is nothing at {path}; see /docs"))
    if error.status_code == 405:
        refused = MethodNotAllowed(f"{request.method} is not allowed at {path}")
        response = await _on_slipway_error(request, refused)
        response.headers.update(error.headers or {})
        return response
    return await _on_slipway_error(request, BadRequest(str(error.detail)))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s: unexpected", request_id(request), exc_info=error)
    request.scope["slipway.reason"] = Internal.reason
    return error_response(Internal(), request_id(request))
