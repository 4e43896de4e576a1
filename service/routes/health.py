"""Probes and metrics. Never refused by overload: a busy server is alive and ready."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.metrics import Metrics
from service.registry import ModelRegistry
from service.responses import Json

router = APIRouter(tags=["health"])


@router.get("/v2/health/live", summary="Is the process able to answer at all?")
async def live() -> Json:
    """Answered by the event loop itself, so a hung loop does not answer."""
    return Json({"live": True})


@router.get("/v2/health/ready", summary="Can every required model answer?")
async def ready(request: Request) -> Json:
    """200 once every required model has passed its golden exam in a worker; 503 before, and while ending."""
    registry: ModelRegistry = request.app.state.registry
    if registry.is_ready:
        return Json({"ready": True})
    waiting = registry.not_ready()
    return Json({"ready": False, "waiting_for": waiting}, status_code=503)


@router.get("/metrics", summary="Prometheus metrics")
async def metrics(request: Request) -> Response:
    """Text format 0.0.4; histograms in seconds."""
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
