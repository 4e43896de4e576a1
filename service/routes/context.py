"""What every typed route asks of its surroundings: the model, the deadline, the request's id, its timing.

Not a family of routes; `scope` keys shared with the layers around the application are named here.
"""

import asyncio
from typing import cast

from starlette.requests import Request

from models.naming import is_version
from service.errors import NotReady, UnknownModel
from service.pipeline import Phases
from service.registry import ModelRegistry, ServedModel
from service.tasks.base import ServiceTask


def request_id(request: Request) -> str:
    return cast(str, request.scope.get("slipway.request_id", ""))


def served(
    request: Request, name: str, version: str | None = None
) -> tuple[ServedModel, ServiceTask]:
    """The model that a request asks for, ready. Raises UnknownModel or NotReady."""
    registry: ModelRegistry = request.app.state.registry
    if version is not None and not is_version(version):
        raise UnknownModel(f"model {name[:64]!r} has no version {version[:32]!r}")
    model = registry.get(name, None if version is None else int(version))
    # Tells the layers around the routes which model to count this request for.
    request.scope["slipway.model"] = model.key
    if model.task is None:
        raise NotReady(f"model {model.key} takes no typed requests at the moment")
    return model, model.task


def deadline(request: Request) -> float:
    """`loop.time()` at which the caller is told that it took too long."""
    limit_s: float = request.app.state.settings.request_timeout_s
    return asyncio.get_running_loop().time() + limit_s


def server_timing(request: Request, phases: Phases) -> str:
    """The Server-Timing header's value (milliseconds), as browsers' network panels show it; the log and
    the trace are told the same times.

    A stage that was not measured apart (a generation's queue) is left out.
    """
    request.scope["slipway.times"] = (phases.queue_s, phases.infer_s)
    parts = {
        "preprocess": phases.preprocess_s,
        "queue": phases.queue_s,
        "infer": phases.infer_s,
        "postprocess": phases.postprocess_s,
    }
    return ", ".join(
        f"{name};dur={seconds * 1e3:.3f}" for name, seconds in parts.items() if seconds
    )
