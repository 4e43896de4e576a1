"""Probes. Never refused by overload: a busy server is alive and ready."""

from fastapi import APIRouter, Request

from service.observability.metrics import Metrics
from service.registry import ModelRegistry
from service.responses import Json

router = APIRouter(tags=["health"])


@router.get("/v2/health/live", summary="Is the process able to answer at all?")
async def live(request: Request) -> Json:
    """503 when only a restart helps: a batcher has died, or the event loop hung until just now. A loop
    that hangs does not answer at all, which the prober's timeout takes for the same."""
    registry: ModelRegistry = request.app.state.registry
    metrics: Metrics = request.app.state.metrics
    dead = [str(m.key) for m in registry if m.batcher is not None and not m.batcher.is_alive]
    if not dead and not metrics.is_loop_stale():
        return Json({"live": True})
    return Json({"live": False, "dead": dead or ["event loop"]}, status_code=503)


@router.get("/v2/health/ready", summary="Can every required model answer?")
async def ready(request: Request) -> Json:
    """200 once every required model has passed its golden exam in a worker; 503 before, and while ending."""
    registry: ModelRegistry = request.app.state.registry
    if registry.is_ready:
        return Json({"ready": True})
    waiting = registry.not_ready()
    return Json({"ready": False, "waiting_for": waiting}, status_code=503)
