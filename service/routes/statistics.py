"""The statistics extension's routes: the sums of all front ends, whichever is asked."""

from fastapi import APIRouter, Request

from service.observability.metrics import Metrics
from service.protocol.v2_statistics import model_statistics
from service.registry import ModelRegistry
from service.responses import Json
from service.routes.metadata import find
from service.workers.base import ModelKey

router = APIRouter(prefix="/v2", tags=["v2"])


@router.get("/models/stats", summary="Statistics of all models")
async def all_statistics(request: Request) -> Json:
    """Counts and summed times since the server started, also per batch size."""
    registry: ModelRegistry = request.app.state.registry
    return await _statistics(request, [model.key for model in registry])


@router.get("/models/{name}/stats", summary="Statistics of a model's versions")
async def statistics(request: Request, name: str) -> Json:
    """As for all models."""
    registry: ModelRegistry = request.app.state.registry
    find(request, name, None)  # raises for one that is not there
    return await _statistics(request, [ModelKey(name, v) for v in registry.versions(name)])


@router.get("/models/{name}/versions/{version}/stats", summary="Statistics of one version")
async def version_statistics(request: Request, name: str, version: str) -> Json:
    """As for all models."""
    return await _statistics(request, [find(request, name, version).key])


async def _statistics(request: Request, keys: list[ModelKey]) -> Json:
    metrics: Metrics = request.app.state.metrics
    total = await metrics.total()
    return Json({"model_stats": [model_statistics(*key, total.find(key)) for key in keys]})
