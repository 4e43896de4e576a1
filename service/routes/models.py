"""Which models are there, for OpenAI's and KServe's clients at once: they share these two paths."""

from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.protocol.openai import ModelList, ModelObject, OpenAIRoute
from service.registry import ModelRegistry, ServedModel
from service.responses import Json

router = APIRouter(tags=["models"], route_class=OpenAIRoute)


@router.get("/v1/models", summary="The served models", response_model=ModelList)
async def list_models(request: Request) -> Response:
    registry: ModelRegistry = request.app.state.registry
    listed = [_describe(registry, model) for model in registry.newest()]
    listing = ModelList(data=listed, models=[model.name for model in listed])
    return Json(listing.model_dump())


@router.get("/v1/models/{name}", summary="One model", response_model=ModelObject)
async def get_model(request: Request, name: str) -> Response:
    """503 while it is not ready, which is what KServe's probes look at."""
    registry: ModelRegistry = request.app.state.registry
    model = registry.find(name)
    if model is None:
        model = registry.get(name)  # raises what is to be said about an unknown or a refused model
    described = _describe(registry, model)
    return Json(described.model_dump(), 200 if described.ready else 503)


def _describe(registry: ModelRegistry, model: ServedModel) -> ModelObject:
    manifest, choice = model.manifest, model.choice
    return ModelObject(
        id=manifest.name,
        created=int(datetime.fromisoformat(manifest.created_at).timestamp()),
        name=manifest.name,
        ready=model.can_answer,
        version=manifest.version,
        versions=registry.versions(manifest.name),
        task=manifest.task,
        description=manifest.description,
        runtime=choice.runtime if choice else "",
        provider=choice.provider if choice else "",
        precision=choice.precision if choice else "",
        selection=choice.reason if choice else "",
    )
