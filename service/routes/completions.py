"""OpenAI's `POST /v1/completions`, whole or streamed."""

from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from models.errors import InputError
from service.choices import Choice, complete_all, pieces_of
from service.completion import Completion
from service.connection import while_connected
from service.event_stream import Events
from service.generation.request import GenerationRequest
from service.intake import content_type, with_document
from service.pipeline import naming
from service.protocol import sse
from service.protocol.completions import (
    CompletionAnswer,
    CompletionChoice,
    CompletionForm,
    CompletionRequest,
    Head,
    usage_of,
)
from service.protocol.openai import MAX_CHOICES, OpenAIRoute, body_of, bounded, parse
from service.registry import ServedModel
from service.responses import Json
from service.routes.context import model_headers, request_id, terms
from service.routes.generation import nth, option_named, prepared, streamed, text_model
from service.tasks.sampling_options import TextGenerationOptions
from service.tasks.text_generation import Prompt, TextGeneration
from service.terms import Terms

router = APIRouter(tags=["openai"], route_class=OpenAIRoute)


@dataclass(frozen=True)
class _Plan:
    """A request, understood: its choices in order, `count` to each prompt."""

    model: ServedModel
    head: Head
    form: CompletionForm
    choices: list[Choice]
    count: int
    wants_usage: bool


@router.post(
    "/v1/completions",
    summary="Continue a prompt",
    response_model=CompletionAnswer,
    openapi_extra=body_of(CompletionRequest),
)
async def create_completion(request: Request) -> Response:
    content_type(request)  # refuses what is not UTF-8, or compressed
    asked = await with_document(request, lambda document: parse(CompletionRequest, document))
    model, task = await text_model(request, asked.model)
    plan = await _plan(request, asked, model, task)
    if asked.stream:
        events = _events(plan, terms(request))
        return await streamed(request, model, events)
    done = await while_connected(request, complete_all(model, plan.choices, terms(request)))
    choices = [CompletionChoice(plan.form, index).whole(each) for index, each in enumerate(done)]
    body = plan.head.document(choices, usage=usage_of(plan.form, done, plan.count))
    return Json(body, headers=model_headers(model))


async def _plan(
    request: Request, asked: CompletionRequest, model: ServedModel, task: TextGeneration
) -> _Plan:
    count = bounded("n", asked.n, MAX_CHOICES)
    prompts = asked.prompts
    wants_usage = asked.wants_usage
    options = option_named(task, asked.options(asked.most_tokens))
    requests = await _all_prepared(task, prompts, options)
    if asked.logprobs is not None:
        of_prompt = asked.logprobs if asked.echo else None
        requests = [_with_logprobs(each, asked.logprobs, of_prompt) for each in requests]
    if asked.cache_salt:
        requests = [replace(each, cache_salt=asked.cache_salt) for each in requests]
    choices = [
        Choice(nth(each, index), task.new_reader(options))
        for each in requests
        for index in range(count)
    ]
    echoes = [_text(prompt, task) if asked.echo else "" for prompt in prompts]
    form = CompletionForm(
        task.token_texts.data,
        [echo for echo in echoes for _ in range(count)],
        [choice.request.prompt_ids for choice in choices],
        asked.logprobs,
        asked.echoes_alone,
    )
    head = Head(f"cmpl-{request_id(request)}", model.key.name, str(model.key), "text_completion")
    return _Plan(model, head, form, choices, count, wants_usage)


async def _all_prepared(
    task: TextGeneration, prompts: list[Prompt], options: TextGenerationOptions
) -> list[GenerationRequest]:
    """In order; the first that cannot be is named."""
    requests = []
    for index, prompt in enumerate(prompts):
        try:
            requests.append(await prepared(task, prompt, options))
        except InputError as error:
            raise naming(index, error) if len(prompts) > 1 else error from None
    return requests


async def _events(plan: _Plan, wanted: Terms) -> Events:
    choices = [CompletionChoice(plan.form, index) for index in range(len(plan.choices))]
    done = [Completion(choice.reader) for choice in plan.choices]
    more = {"usage": None} if plan.wants_usage else {}
    pieces = pieces_of(plan.model, plan.choices, wanted)
    try:
        async for index, piece in pieces:
            done[index].add(piece)
            choice = choices[index].of_piece(piece)
            if choice is not None:
                yield sse.event(plan.head.document([choice], **more))
    finally:
        await pieces.aclose()
    if plan.wants_usage:
        tokens = usage_of(plan.form, done, plan.count)
        yield sse.event(plan.head.document([], usage=tokens))
    yield sse.DONE


def _with_logprobs(
    request: GenerationRequest, top: int, of_prompt: int | None
) -> GenerationRequest:
    sampling = replace(request.sampling, logprobs=top)
    return replace(request, sampling=sampling, prompt_logprobs=of_prompt)


def _text(prompt: Prompt, task: TextGeneration) -> str:
    if isinstance(prompt, str):
        return prompt
    text: str = task.tokenizer.decode(list(prompt), skip_special_tokens=True)
    return text
