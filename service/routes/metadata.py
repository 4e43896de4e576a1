"""V2 metadata: the server, its models, their versions, what they take and how they are run."""

from fastapi import APIRouter, Request

from models.naming import is_version
from service.app_info import version
from service.batching.limits import BatchLimits
from service.errors import UnknownModel
from service.lifecycle.loading import batch_limits
from service.protocol.v2_config import model_config, version_policy
from service.protocol.v2_metadata import model_metadata, server_metadata
from service.registry import ModelRegistry, ServedModel
from service.responses import Json
from service.settings import Settings

router = APIRouter(prefix="/v2", tags=["v2"])


@router.get("", summary="The server")
async def server() -> Json:
    return Json(server_metadata(version()))


@router.get("/models", summary="Names of the served models")
async def models(request: Request) -> Json:
    return Json({"models": _registry(request).names()})


@router.get("/models/{name}", summary="Inputs and outputs of a model")
async def model(request: Request, name: str) -> Json:
    """Shapes include the batch; -1 stands for a size that varies. Also before the model is ready."""
    return _metadata(request, find(request, name, None))


@router.get("/models/{name}/versions/{version}", summary="Inputs and outputs of one version")
async def model_version(request: Request, name: str, version: str) -> Json:
    """As for the model, whichever version it is."""
    return _metadata(request, find(request, name, version))


@router.get("/models/{name}/ready", summary="Is the model ready?")
async def model_ready(request: Request, name: str) -> Json:
    """200 when it can answer, 503 while it cannot, 404 for one that is not served."""
    return _readiness(find(request, name, None))


@router.get("/models/{name}/versions/{version}/ready", summary="Is the version ready?")
async def version_ready(request: Request, name: str, version: str) -> Json:
    """200 when it can answer, 503 while it cannot, 404 for one that is not served."""
    return _readiness(find(request, name, version))


@router.get("/models/{name}/config", summary="Configuration of a model")
async def config(request: Request, name: str) -> Json:
    """In the shape of Triton's model configuration, with the batching that is in force."""
    return _config(request, find(request, name, None))


@router.get("/models/{name}/versions/{version}/config", summary="Configuration of one version")
async def version_config(request: Request, name: str, version: str) -> Json:
    """As for the model, whichever version it is."""
    return _config(request, find(request, name, version))


def find(request: Request, name: str, version: str | None) -> ServedModel:
    """The version, ready or not. Raises UnknownModel, or NotReady while it is not even known to load."""
    registry = _registry(request)
    if version is not None and not is_version(version):
        raise UnknownModel(f"model {name[:64]!r} has no version {version[:32]!r}")
    number = None if version is None else int(version)
    found = registry.find(name, number)
    if found is None:
        found = registry.get(name, number)  # raises, with the reason
    request.scope["slipway.model"] = found.key
    return found


def _metadata(request: Request, found: ServedModel) -> Json:
    versions = _registry(request).versions(found.key.name)
    return Json(model_metadata(found.manifest, versions))


def _config(request: Request, found: ServedModel) -> Json:
    settings: Settings = request.app.state.settings
    provider = "" if found.report is None else found.report.provider
    details = {} if found.report is None else found.report.details
    body = model_config(found.manifest, _limits(found, settings), provider, found.choice, details)
    return Json({**body, "version_policy": version_policy(settings.version_policy)})


def _limits(found: ServedModel, settings: Settings) -> BatchLimits | None:
    """What its batcher obeys, or will once it is loaded; None for a model that runs no batches."""
    if found.batcher is not None:
        return found.batcher.limits
    if found.manifest.runner != "batch":
        return None
    return batch_limits(found, settings, found.choice)


def _readiness(found: ServedModel) -> Json:
    is_ready = found.can_answer
    body = {"name": found.key.name, "ready": is_ready}
    return Json(body, status_code=200 if is_ready else 503)


def _registry(request: Request) -> ModelRegistry:
    registry: ModelRegistry = request.app.state.registry
    return registry
