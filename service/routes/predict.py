"""Typed prediction: send what a person has (a picture, a text), get what a person reads.

`/v1/models/{name}/predict` takes every form of `service.intake` and answers a list of predictions in the
order of the instances. One bad instance fails the whole request and is named by its index, so that no
caller mistakes a shorter list for the full one. `predict_v1` is the same in TF Serving's words.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from service.connection import while_connected
from service.intake import Intake, read_typed
from service.pipeline import Ask, predict
from service.registry import ServedModel
from service.responses import Json
from service.routes.context import request_id, served, server_timing, terms
from service.tasks.base import ServiceTask

router = APIRouter(tags=["predict"])

Name = Annotated[str, Path(description="model name")]
Version = Annotated[str, Path(description="version number")]


@router.post("/v1/models/{name}/predict", summary="Ask a model (picture, text, JSON)")
async def predict_typed(request: Request, name: Name) -> Response:
    return await _typed(request, name, None)


@router.post("/v1/models/{name}/versions/{version}/predict", summary="Ask one version of a model")
async def predict_typed_version(request: Request, name: Name, version: Version) -> Response:
    return await _typed(request, name, version)


async def _typed(request: Request, name: str, version: str | None) -> Response:
    model, task = await served(request, name, version)
    return await _answer(request, model, task, await read_typed(request, task))


async def _answer(
    request: Request, model: ServedModel, task: ServiceTask, intake: Intake
) -> Response:
    options = task.parse_options(intake.options)
    asks = [Ask(instance, options) for instance in intake.instances]
    work = predict(model, asks, terms(request, intake))
    prediction = await while_connected(request, work)
    body = {
        "model_name": model.key.name,
        "model_version": str(model.key.version),
        "request_id": request_id(request),
        "predictions": prediction.answers,
    }
    return Json(body, headers={"server-timing": server_timing(request, prediction.phases)})
