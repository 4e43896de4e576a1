"""OpenAI's `POST /v1/images/generations`: the prompt is the name of a class that the model draws."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.connection import while_connected
from service.intake import content_type, parse_json
from service.pipeline import Ask, predict
from service.protocol.openai import (
    MAX_CHOICES,
    ImageRequest,
    ImagesAnswer,
    OpenAIRoute,
    ParameterInvalid,
    body_of,
    bounded,
    parse,
)
from service.responses import Json
from service.routes.context import served, server_timing, terms
from service.tasks.image_generation import ImageGeneration

router = APIRouter(tags=["openai"], route_class=OpenAIRoute)


@router.post(
    "/v1/images/generations",
    summary="Draw pictures",
    response_model=ImagesAnswer,
    openapi_extra=body_of(ImageRequest),
)
async def create_images(request: Request) -> Response:
    content_type(request)  # refuses what is not UTF-8, or compressed
    asked = parse(ImageRequest, parse_json(await request.body()))
    model, task = await served(request, asked.model)
    if not isinstance(task, ImageGeneration):
        raise ParameterInvalid(f"model {asked.model!r} does {task.name}, not images", "model")
    count = bounded("n", asked.n, MAX_CHOICES)
    given = {"seed": asked.seed, "size": asked.size}
    options = task.parse_options({name: v for name, v in given.items() if v is not None})
    asks = [
        Ask(asked.prompt, options.model_copy(update={"index": index})) for index in range(count)
    ]
    work = predict(model, asks, terms(request))
    prediction = await while_connected(request, work)
    body = {
        "created": int(time.time()),
        "data": [
            {"b64_json": answer["image"], "seed": answer["seed"]} for answer in prediction.answers
        ],
    }
    return Json(body, headers={"server-timing": server_timing(request, prediction.phases)})
