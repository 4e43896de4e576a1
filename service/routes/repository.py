"""The model repository extension's routes: what is there, and (in explicit mode) what is to be served."""

from fastapi import APIRouter, Request

from service.errors import BadRequest
from service.registry import ModelRegistry
from service.responses import Json
from service.strict_json import loads

router = APIRouter(prefix="/v2/repository", tags=["v2"])


@router.post("/index", summary="Every version in the repository and why it is not served")
async def index(request: Request) -> Json:
    """The body may be empty, or `{"ready": true}` for those only that can answer."""
    registry: ModelRegistry = request.app.state.registry
    is_ready_only = _members(await request.body()).get("ready", False)
    if not isinstance(is_ready_only, bool):
        raise BadRequest("ready must be true or false")
    entries = [
        {
            "name": entry.name,
            "version": str(entry.version),
            "state": entry.state,
            "reason": entry.reason,
        }
        for entry in registry.index()
        if entry.state == "READY" or not is_ready_only
    ]
    return Json(entries)


def _members(body: bytes) -> dict[str, object]:
    """An empty body is an empty object. Raises BadJson, BadRequest."""
    document = loads(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise BadRequest("the body must be an object, or empty")
    return document
