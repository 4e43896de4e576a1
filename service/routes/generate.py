"""Triton's generate extension: `POST /v2/models/M[/versions/V]/generate` and `/generate_stream`.

One text in, one text out: its continuation, or what an encoder–decoder makes of it, whose beam search comes
as a single piece. Options stand in `parameters` or beside `text_input`, by the names of the typed
route. Errors are V2's `{"error": text}`, also as a stream's last event.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from models.errors import SlipwayError
from service.choices import Choice, complete_all, pieces_of
from service.connection import while_connected
from service.errors import BadRequest
from service.event_stream import Events, EventStream
from service.intake import content_type, with_document
from service.protocol import sse
from service.protocol.generate import (
    GenerateAnswer,
    GenerateCall,
    GenerateRequest,
    answer,
    read_generate,
)
from service.protocol.openai import body_of
from service.registry import ServedModel
from service.responses import Json
from service.routes.context import request_id, served, terms
from service.routes.generation import prepared
from service.tasks.base import GenerationTask, ServiceTask
from service.terms import Terms

router = APIRouter(prefix="/v2", tags=["v2"])

Name = Annotated[str, Path(description="model name")]
Version = Annotated[str, Path(description="version number")]


_BODY = body_of(GenerateRequest)
_ANSWER: dict[str, Any] = {"response_model": GenerateAnswer, "openapi_extra": _BODY}
_EVENTS: dict[str, Any] = {
    "openapi_extra": {
        **_BODY,
        "responses": {
            "200": {
                "description": "one event for each piece of text",
                "content": {
                    sse.MEDIA_TYPE: {"schema": {"type": "string"}},
                },
            }
        },
    }
}


@router.post("/models/{name}/generate", summary="Continue a text", **_ANSWER)
async def generate(request: Request, name: Name) -> Response:
    return await _generate(request, name, None)


@router.post("/models/{name}/versions/{version}/generate", summary="… by one version", **_ANSWER)
async def generate_version(request: Request, name: Name, version: Version) -> Response:
    return await _generate(request, name, version)


@router.post("/models/{name}/generate_stream", summary="Continue a text, streamed", **_EVENTS)
async def generate_stream(request: Request, name: Name) -> Response:
    return await _generate_stream(request, name, None)


@router.post(
    "/models/{name}/versions/{version}/generate_stream",
    summary="… by one version, streamed",
    **_EVENTS,
)
async def generate_stream_version(request: Request, name: Name, version: Version) -> Response:
    return await _generate_stream(request, name, version)


@dataclass(frozen=True)
class _Plan:
    model: ServedModel
    call: GenerateCall
    choice: Choice
    terms: Terms

    def document(self, text: str, reason: str | None) -> dict[str, Any]:
        return answer(self.call, self.model.key.name, self.model.key.version, text, reason)


async def _generate(request: Request, name: str, version: str | None) -> Response:
    plan = await _plan(request, name, version)
    work = complete_all(plan.model, [plan.choice], plan.terms)
    (done,) = await while_connected(request, work)
    return Json(plan.document(plan.call.echo + done.reader.text, done.finish_reason))


async def _generate_stream(request: Request, name: str, version: str | None) -> Response:
    plan = await _plan(request, name, version)
    last = request_id(request)

    def last_words(error: SlipwayError) -> bytes:
        return sse.event({"error": error.public, "code": error.reason, "request_id": last})

    meters = plan.model.meters.written
    return await EventStream.begun(request, _events(plan), last_words, meters, {})


async def _plan(request: Request, name: str, version: str | None) -> _Plan:
    content_type(request)  # refuses what is not UTF-8, or compressed
    call = await with_document(request, read_generate)
    model, task = await served(request, name, version)
    generation = _generation(name, task)
    options = generation.parse_options(call.intake.options)
    (text,) = call.intake.instances
    assert isinstance(text, str)
    choice = Choice(await prepared(generation, text, options), generation.new_reader(options))
    return _Plan(model, call, choice, terms(request, call.intake))


def _generation(name: str, task: ServiceTask) -> GenerationTask:
    if not isinstance(task, GenerationTask):
        raise BadRequest(f"model {name!r} does {task.name}; generate is for models that write text")
    return task


async def _events(plan: _Plan) -> Events:
    echo = plan.call.echo
    pieces = pieces_of(plan.model, [plan.choice], plan.terms)
    try:
        async for _, piece in pieces:
            if piece.text or echo or piece.finish_reason is not None:
                yield sse.event(plan.document(echo + piece.text, piece.finish_reason))
                echo = ""
    finally:
        await pieces.aclose()
