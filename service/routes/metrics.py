"""Metrics, on the main port or, with a metrics port, there alone. Never refused by overload."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.observability.exposition import content_type, text
from service.observability.metrics import Metrics

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Text format 0.0.4, or OpenMetrics for a scraper that takes it; histograms in seconds. The sum over all
    front ends, whichever is asked."""
    found: Metrics = request.app.state.metrics
    form = content_type(request.headers.get("accept", ""))
    return Response(text(await found.total(), form), media_type=form)
