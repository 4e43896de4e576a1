"""V2 metadata: the server, its models, their versions, and the index of what the repository holds."""

from fastapi import APIRouter, Request

from models.naming import is_version
from service.app_info import version
from service.errors import UnknownModel
from service.protocol.v2_metadata import model_metadata, server_metadata
from service.registry import ModelRegistry, ServedModel
from service.responses import Json

router = APIRouter(prefix="/v2", tags=["v2"])


@router.get("", summary="The server")
async def server() -> Json:
    return Json(server_metadata(version()))


@router.get("/models", summary="Names of the served models")
async def models(request: Request) -> Json:
    return Json({"models": _registry(request).names()})


@router.get("/models/{name}", summary="Inputs and outputs of a model")
@router.get("/models/{name}/versions/{version}", summary="Inputs and outputs of one version")
async def model(request: Request, name: str, version: str | None = None) -> Json:
    """Shapes include the batch; -1 stands for a size that varies. Also before the model is ready."""
    found = find(request, name, version)
    return Json(model_metadata(found.manifest, _registry(request).versions(name)))


@router.get("/models/{name}/ready", summary="Is the model ready?")
@router.get("/models/{name}/versions/{version}/ready", summary="Is the version ready?")
async def model_ready(request: Request, name: str, version: str | None = None) -> Json:
    """200 when it can answer, 503 while it cannot, 404 for one that is not served."""
    found = find(request, name, version)
    status = 200 if found.is_ready else 503
    return Json({"name": name, "ready": found.is_ready}, status_code=status)


@router.post(
    "/repository/index", summary="Every version in the repository and why it is not served"
)
async def index(request: Request) -> Json:
    entries = [
        {
            "name": entry.name,
            "version": str(entry.version),
            "state": entry.state,
            "reason": entry.reason,
        }
        for entry in _registry(request).index()
    ]
    return Json(entries)


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


def _registry(request: Request) -> ModelRegistry:
    registry: ModelRegistry = request.app.state.registry
    return registry
