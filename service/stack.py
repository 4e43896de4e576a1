"""The layers of the application, outermost first: fast lane → observation and body limit → FastAPI."""

from typing import Any

import uvicorn

from service.access_log import standard_output
from service.app import create_app
from service.app_info import version
from service.fastlane import FastLane
from service.metrics import Metrics
from service.observe import Observed, Observer
from service.registry import ModelRegistry
from service.settings import Settings
from service.signals import GracefulServer
from service.spans import open_export


def build(
    registry: ModelRegistry, settings: Settings, metrics: Metrics
) -> tuple[FastLane, Observer]:
    """The whole ASGI application; must be called in the event loop that will run it."""
    observer = make_observer(settings, metrics)
    app = create_app(registry, settings, metrics)
    observed = Observed(app, observer, settings.max_body_bytes)
    lane = FastLane(
        observed,
        registry,
        observer,
        max_body_bytes=settings.max_body_bytes,
        request_timeout_s=settings.request_timeout_s,
    )
    return lane, observer


def make_observer(settings: Settings, metrics: Metrics) -> Observer:
    """Raises StartError when spans are to be exported and the extra for it is absent."""
    stream = standard_output() if settings.access_log else None
    endpoint = settings.otlp_endpoint
    spans = open_export(endpoint, version()) if endpoint else None
    return Observer(metrics, stream, spans, settings.trace_sample_share)


def build_server(
    registry: ModelRegistry, settings: Settings, metrics: Metrics
) -> tuple[GracefulServer, Observer]:
    lane, observer = build(registry, settings, metrics)
    app: Any = lane  # uvicorn's type for an application is narrower than Starlette's
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.grace_s,
    )
    return GracefulServer(config), observer
