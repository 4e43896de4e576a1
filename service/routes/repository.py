"""The model repository extension's routes: what is there, and (in explicit mode) what is to be served.

Changes are for whoever has the admin token. A model is what was published under its name: a load takes no
configuration and no files.
"""

from typing import Any

from fastapi import APIRouter, Request

from models.naming import is_version
from service.errors import BadRequest, ControlRefused
from service.lifecycle.admin import authorize
from service.registry import Control, ModelRegistry
from service.responses import Json
from service.strict_json import loads

router = APIRouter(prefix="/v2/repository", tags=["v2"])

_LOAD = {"version"}
_UNLOAD = {"unload_dependents"}


def _takes(parameters: dict[str, Any]) -> dict[str, Any]:
    """An optional body with these parameters, for the OpenAPI document."""
    members = {"parameters": {"type": "object", "properties": parameters}}
    schema = {"type": "object", "properties": members}
    return {"requestBody": {"content": {"application/json": {"schema": schema}}}}


@router.post("/index", summary="Every version in the repository and why it is not served")
async def index(request: Request) -> Json:
    """The body may be empty, or `{"ready": true}` for those only that can answer."""
    registry: ModelRegistry = request.app.state.registry
    is_ready_only = _members(await request.body()).get("ready")
    if is_ready_only is not None and not isinstance(is_ready_only, bool):
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


@router.post(
    "/models/{name}/load",
    summary="Serve a model, or what was published since",
    openapi_extra=_takes({"version": {"type": "integer", "minimum": 1, "maximum": 999_999_999}}),
)
async def load(request: Request, name: str) -> Json:
    """Returns when the new version answers; the old one finishes what it has. A version that cannot be
    served changes nothing and says why."""
    control = _control(request)
    given = _parameters(await request.body(), _LOAD, "a model is served as it was published")
    version = given.get("version")
    if version is not None and not is_version(str(version)):
        raise BadRequest("parameters.version must be the number of a version")
    await control.load(name, None if version is None else int(str(version)))
    return Json({})


@router.post(
    "/models/{name}/unload",
    summary="Stop serving a model",
    openapi_extra=_takes({"unload_dependents": {"type": "boolean"}}),
)
async def unload(request: Request, name: str) -> Json:
    """Returns when what was accepted is answered and the memory is given back."""
    control = _control(request)
    # No model depends on another here, so either value of unload_dependents means the same.
    _parameters(await request.body(), _UNLOAD, "an unload needs no more")
    await control.unload(name)
    return Json({})


def _control(request: Request) -> Control:
    """Raises Forbidden or Unauthorized before anything of the request is looked at."""
    authorize(request.headers, request.app.state.settings)
    registry: ModelRegistry = request.app.state.registry
    if registry.control is None:
        raise ControlRefused("this server's models do not change")
    return registry.control


def _parameters(body: bytes, known: set[str], why: str) -> dict[str, object]:
    given = _members(body).get("parameters") or {}
    if not isinstance(given, dict):
        raise BadRequest("parameters must be an object")
    odd = sorted(given.keys() - known)
    if odd:
        raise BadRequest(f"parameters.{odd[0][:64]} is not taken: {why}")
    return given


def _members(body: bytes) -> dict[str, object]:
    """An empty body is an empty object. Raises BadJson, BadRequest."""
    document = loads(body) if body.strip() else {}
    if not isinstance(document, dict):
        raise BadRequest("the body must be an object, or empty")
    return document
