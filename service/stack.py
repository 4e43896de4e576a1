"""The application in layers, outermost first: edge with its fast lane → observation → leases → bodies →
FastAPI.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from service.app import create_app
from service.app_info import version
from service.edge.bodies import BodyGuard
from service.edge.lane import Lane
from service.edge.protocol import Edge, EdgeProtocol, Limits
from service.edge.sweeper import Sweeper
from service.lifecycle.leases import Leases
from service.observability.access_log import standard_output
from service.observability.metrics import Metrics
from service.observability.observe import Observed, Observer
from service.observability.spans import open_export
from service.quota import CallerQuota
from service.registry import ModelRegistry
from service.settings import Settings
from service.signals import GracefulServer

Wrap = Callable[[ASGIApp], ASGIApp]


def build(
    registry: ModelRegistry,
    settings: Settings,
    metrics: Metrics,
    wrap: Wrap = lambda app: app,
) -> tuple[ASGIApp, Edge]:
    """The whole ASGI application, and what the connections in front of it share; must be called in the
    event loop that will run it."""
    observer = make_observer(settings, metrics)
    quota = CallerQuota.of(
        settings.caller_header, settings.max_requests_per_caller, settings.frontends
    )
    app = BodyGuard(wrap(create_app(registry, settings, metrics)), settings.max_body_bytes)
    observed = Observed(Leases(app, quota), observer, settings.max_body_bytes)
    lane = Lane(
        registry,
        observer,
        timeouts=settings.timeouts,
        compress_above_bytes=settings.compress_above_bytes,
        quota=quota,
    )
    return observed, Edge(Limits.of(settings), lane, observer, Sweeper(time.monotonic))


def make_observer(settings: Settings, metrics: Metrics) -> Observer:
    """Raises StartError when spans are to be exported and the extra for it is absent."""
    log = standard_output() if settings.access_log else None
    endpoint = settings.otlp_endpoint
    spans = open_export(endpoint, version()) if endpoint else None
    return Observer(metrics, log, spans, settings.trace_sample_share)


def build_server(
    registry: ModelRegistry,
    settings: Settings,
    metrics: Metrics,
    wrap: Wrap = lambda app: app,
) -> tuple[GracefulServer, Observer]:
    """`wrap` puts a layer around the innermost application, when there are several front ends."""
    observed, edge = build(registry, settings, metrics, wrap)
    app: Any = observed  # uvicorn's type for an application is narrower than Starlette's
    protocol: Any = partial(EdgeProtocol, edge)  # a class by its type, called like a function
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.grace_s,
    )
    return GracefulServer(config), edge.observer
