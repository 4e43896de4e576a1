"""What every typed route asks of its surroundings: the model, the deadline, the request's id, its timing.

Not a family of routes; `scope` keys shared with the layers around the application are named here.
"""

import time
from typing import cast

from starlette.requests import Request

from models.naming import is_version
from service.errors import DeadlineExceeded, UnknownModel
from service.intake import Intake
from service.lifecycle.leases import acquire, caller_of
from service.lifecycle.tasks import open_task_of
from service.pipeline import Phases
from service.registry import ModelRegistry, ServedModel
from service.tasks.base import ServiceTask
from service.terms import Terms
from service.timeouts import HEADER, Timeouts, header_timeout_s


def request_id(request: Request) -> str:
    return cast(str, request.scope.get("slipway.request_id", ""))


async def acquired(request: Request, name: str, version: str | None = None) -> ServedModel:
    """The model that a request asks for, ready, and kept for it until its answer is written; one that is
    loaded on its first request is waited for. Raises UnknownModel, NotReady or DeadlineExceeded."""
    registry: ModelRegistry = request.app.state.registry
    if version is not None and not is_version(version):
        raise UnknownModel(f"model {name[:64]!r} has no version {version[:32]!r}")
    number = None if version is None else int(version)
    # Tells the layers around the routes which model to count this request for, a refusal as well.
    if (known := registry.find(name, number)) is not None:
        request.scope["slipway.model"] = known.key
    model = await acquire(request.scope, registry, name, number, deadline(request))
    request.scope["slipway.model"] = model.key
    return model


async def served(
    request: Request, name: str, version: str | None = None
) -> tuple[ServedModel, ServiceTask]:
    """As `acquired`, for typed requests, which also need the model's task."""
    model = await acquired(request, name, version)
    if model.task is None:  # a lazy model whose callers have only sent tensors so far
        model.task = await open_task_of(model)
    return model, model.task


def arrived(request: Request) -> float:
    """Monotonic seconds."""
    return cast(float, request.scope.get("slipway.arrived") or time.monotonic())


def deadline(request: Request) -> float:
    """`loop.time()` at which the caller is told that it took too long. Raises DeadlineExceeded when that
    has come, BadRequest for a header that says nothing."""
    asked_s = header_timeout_s(dict(request.scope["headers"]))
    timeouts: Timeouts = request.app.state.settings.timeouts
    at = arrived(request) + timeouts.seconds(asked_s)
    if at <= time.monotonic():
        raise DeadlineExceeded("the request's time was over before its work began")
    return at


def terms(request: Request, intake: Intake | None = None) -> Terms:
    """What the request may take, by its headers and its body. Raises as `deadline`."""
    at = deadline(request)
    is_own = HEADER in dict(request.scope["headers"])
    timeout_s = None if intake is None else intake.timeout_s
    if timeout_s is not None:  # the lesser of both
        timeouts: Timeouts = request.app.state.settings.timeouts
        own = arrived(request) + timeouts.seconds(timeout_s)
        at, is_own = min(own, at) if is_own else own, True
    priority = 0 if intake is None else intake.priority
    return Terms(at, is_own, priority, caller_of(request.scope))


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


def model_headers(model: ServedModel) -> dict[str, str]:
    """For dialects whose bodies have no place for it: which model has answered, in which version."""
    return {"x-model-name": model.key.name, "x-model-version": str(model.key.version)}
