"""OpenAI's `POST /v1/images/generations`: the prompt is the name of a class that the model draws.

With `stream` the picture is told of while it is drawn: previews and progress, then the picture itself. A
caller that leaves ends the drawing between two steps.
"""

import asyncio
import time
from contextlib import aclosing

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.connection import while_connected
from service.errors import NotReady
from service.event_stream import Events
from service.intake import content_type, parse_json
from service.loops import Spent, steps_of
from service.offload import offload
from service.pipeline import Ask, predict
from service.protocol.images import (
    ImageEvents,
    ImageRequest,
    ImagesAnswer,
    data_of,
    preview_steps,
)
from service.protocol.openai import (
    MAX_CHOICES,
    OpenAIRoute,
    ParameterInvalid,
    body_of,
    bounded,
    parse,
)
from service.registry import ServedModel
from service.responses import Json
from service.routes.context import model_headers, served, server_timing, terms
from service.routes.generation import streamed
from service.tasks.base import Prepared
from service.tasks.denoising import DenoisingLoop
from service.tasks.image_generation import ImageGeneration, ImageGenerationOptions
from service.terms import Terms

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
    asked.require_consistent()
    options = task.parse_options(asked.options())
    if asked.stream:
        prepared = task.preprocess(asked.prompt, options)
        events = _events(asked, model, task, prepared, options, terms(request))
        return await streamed(request, model, events)
    asks = [
        Ask(asked.prompt, options.model_copy(update={"index": index})) for index in range(count)
    ]
    work = predict(model, asks, terms(request))
    prediction = await while_connected(request, work)
    body = {
        "created": int(time.time()),
        "data": [data_of(answer) for answer in prediction.answers],
    }
    headers = {
        "server-timing": server_timing(request, prediction.phases),
        **model_headers(model),
    }
    return Json(body, headers=headers)


async def _events(
    asked: ImageRequest,
    model: ServedModel,
    task: ImageGeneration,
    prepared: Prepared,
    options: ImageGenerationOptions,
    wanted: Terms,
) -> Events:
    events = ImageEvents(int(time.time()))
    loop = prepared.loop
    if not isinstance(loop, DenoisingLoop):
        prediction = await predict(model, [Ask(asked.prompt, options)], wanted)
        yield events.completed(prediction.answers[0])
        return
    if model.batcher is None:
        raise NotReady(f"model {model.key} takes no instances at the moment")
    previews = preview_steps(loop.steps, asked.partial_images or 0)
    model.meters.in_flight += 1
    try:
        async with aclosing(steps_of(model.batcher, loop, wanted, Spent())) as steps:
            async for step in steps:
                if asked.progress_every and step % asked.progress_every == 0:
                    yield events.progress(step, loop.steps)
                if step in previews:
                    shown = await offload(task.postprocess, loop.preview(), prepared, options)
                    yield events.partial(shown)
        wanted.check(asyncio.get_running_loop().time())
        answer = await offload(task.postprocess, loop.rows(), prepared, options)
        yield events.completed(answer)
    finally:
        model.meters.in_flight -= 1
