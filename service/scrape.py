"""`--metrics-port`: /metrics on a port of its own, for as long as the process lives.

The main server stops accepting when it drains; how that goes is what a scraper wants to see, so this
one ends last. With several front ends it is the primary's, which answers with the sum of all.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from service.listener import Place, listen, url_of
from service.observability.metrics import Metrics
from service.settings import Settings

if TYPE_CHECKING:
    from service.signals import GracefulServer

_log = logging.getLogger("slipway.server")

_GRACE_S = 1


def listen_for_scrapers(settings: Settings) -> socket.socket | None:
    """Raises StartError where the port is taken, before anything is loaded."""
    if not settings.metrics_port:
        return None
    return listen(Place(settings.host, settings.metrics_port, "--metrics-port"))


@contextlib.asynccontextmanager
async def scraped(
    settings: Settings, listener: socket.socket | None, metrics: Metrics
) -> AsyncIterator[None]:
    """While open, `listener` answers /metrics, and 404 for everything else."""
    if listener is None:
        yield
        return
    server = _server(metrics)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    _log.info("metrics: %s/metrics", url_of(settings.host, listener))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _server(metrics: Metrics) -> "GracefulServer":
    # Imported here, as by the main server: workers start meanwhile.
    import uvicorn
    from fastapi import FastAPI

    from service.routes.metrics import router
    from service.signals import GracefulServer

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.state.metrics = metrics
    app.include_router(router)
    config = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return GracefulServer(config)
