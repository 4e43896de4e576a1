"""The layers of the application, outermost first: fast lane → observation and body limit → FastAPI."""

from typing import Any

import uvicorn

from service.app import create_app
from service.fastlane import FastLane
from service.metrics import Metrics
from service.observe import Observed, Observer, access_stream
from service.registry import ModelRegistry
from service.settings import Settings
from service.signals import GracefulServer


def build(
    registry: ModelRegistry, settings: Settings, metrics: Metrics
) -> tuple[FastLane, Observer]:
    """The whole ASGI application; must be called in the event loop that will run it."""
    observer = Observer(metrics, access_stream(settings.access_log))
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
