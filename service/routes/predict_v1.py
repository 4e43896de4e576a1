"""The V1 protocol of TF Serving and KServe: `/v1/models/{name}:predict`, and an honest `:explain`."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from service.connection import while_connected
from service.intake import Intake, content_type, from_instances, read_document
from service.pipeline import Ask, predict
from service.protocol import v1
from service.responses import Json
from service.routes.context import request_id, served, server_timing, terms
from service.tasks.base import ServiceTask

router = APIRouter(tags=["predict"])

Name = Annotated[str, Path(description="model name")]
Version = Annotated[str, Path(description="version number")]


@router.post("/v1/models/{name}:predict", summary="V1 protocol: rows or columns in, alike out")
async def predict_v1(request: Request, name: Name) -> Response:
    """`{"instances": […]}` answers `predictions`; a model of bare tensors also takes columns,
    `{"inputs": …}`, and then answers `outputs`."""
    return await _predict(request, name, None)


@router.post("/v1/models/{name}/versions/{version}:predict", summary="V1 protocol, one version")
async def predict_v1_version(request: Request, name: Name, version: Version) -> Response:
    """As for the model, whichever version it is."""
    return await _predict(request, name, version)


@router.post("/v1/models/{name}:explain", summary="V1 protocol: not offered")
async def explain(request: Request, name: Name) -> Response:
    """Always 501: no model here explains its answers."""
    await served(request, name)
    raise v1.NotOffered(f"model {name!r} has no explainer; :predict is what it answers")


async def _predict(request: Request, name: str, version: str | None) -> Response:
    model, task = await served(request, name, version)
    content_type(request)  # V1 clients label JSON in many ways; only the character set matters
    is_columnar = False

    def read(document: object, task: ServiceTask) -> Intake:
        nonlocal is_columnar
        is_columnar = v1.has_columns(document, task)
        if is_columnar:
            document = v1.with_rows(document, task.manifest)
        return from_instances(document, task)

    intake = await read_document(request, read, task)
    options = task.parse_options(intake.options)
    asks = [Ask(instance, options) for instance in intake.instances]
    work = predict(model, asks, terms(request, intake))
    prediction = await while_connected(request, work)
    body: dict[str, object] = {
        "model_name": model.key.name,
        "model_version": str(model.key.version),
        "request_id": request_id(request),
    }
    if is_columnar:
        body["outputs"] = v1.outputs(prediction.answers, model.manifest)
    else:
        body["predictions"] = v1.predictions(prediction.answers, task)
    return Json(body, headers={"server-timing": server_timing(request, prediction.phases)})
