"""OpenAI's `POST /v1/chat/completions`, whole or streamed, with tools for models that were taught them."""

from dataclasses import dataclass, replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.chat.encoding import ChatEncoder, Conversation
from service.choices import Choice, complete_all, pieces_of
from service.completion import Completion
from service.connection import while_connected
from service.event_stream import Events
from service.generation.request import GenerationRequest
from service.intake import content_type, with_document
from service.offload import offload
from service.protocol import sse
from service.protocol.chat import ChatRequest, ToolUse
from service.protocol.chat_answer import ChatAnswer, ChatChoice, ChatForm, usage_of
from service.protocol.chat_messages import for_template
from service.protocol.completions import Head
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
from service.routes.context import model_headers, request_id, terms
from service.routes.generation import nth, option_named, streamed, text_model
from service.tasks.text_generation import TextGeneration
from service.terms import Terms

router = APIRouter(tags=["openai"], route_class=OpenAIRoute)

_CHUNK = "chat.completion.chunk"
# Laying out and tokenizing so much takes about as long as handing it to a thread.
_INLINE_CHARACTERS = 2_000


@dataclass(frozen=True)
class _Plan:
    """A request, understood."""

    model: ServedModel
    head: Head
    form: ChatForm
    choices: list[Choice]
    prompt_tokens: int
    wants_usage: bool


@router.post(
    "/v1/chat/completions",
    summary="Answer in a conversation",
    response_model=ChatAnswer,
    openapi_extra=body_of(ChatRequest),
)
async def create_chat_completion(request: Request) -> Response:
    content_type(request)  # refuses what is not UTF-8, or compressed
    asked = await with_document(request, lambda document: parse(ChatRequest, document))
    model, task = await text_model(request, asked.model)
    plan = await _plan(request, asked, model, task)
    if asked.stream:
        return await streamed(request, model, _events(plan, terms(request)))
    done = await while_connected(request, complete_all(model, plan.choices, terms(request)))
    choices = [ChatChoice(plan.form, index).whole(each) for index, each in enumerate(done)]
    body = plan.head.document(choices, usage=usage_of(plan.prompt_tokens, done))
    return Json(body, headers=model_headers(model))


async def _plan(
    request: Request, asked: ChatRequest, model: ServedModel, task: TextGeneration
) -> _Plan:
    if task.chat is None:
        raise ParameterInvalid(
            f"model {asked.model!r} has no chat template; it continues texts at /v1/completions",
            "model",
        )
    count = bounded("n", asked.n, MAX_CHOICES)
    wants_usage, top = asked.wants_usage, asked.top
    tools = ToolUse(asked, task.tool_call_format)
    given = asked.options(asked.most_tokens)
    if tools.schema is not None:
        if any(name.startswith("guided_") for name in given):
            raise ParameterInvalid("a demanded call is the answer's form already", "tool_choice")
        given["guided_json"] = tools.schema
    options = option_named(task, given, _members(asked))
    ids = await _encoded(task.chat, _conversation(asked, tools))
    prepared = _with(task.preprocess(ids, options), asked, top)
    choices = [Choice(nth(prepared, index), task.new_reader(options)) for index in range(count)]
    name = request_id(request)
    kind = _CHUNK if asked.stream else "chat.completion"
    head = Head(f"chatcmpl-{name}", model.key.name, str(model.key), kind)
    form = ChatForm(name, task.token_texts.data, tools, top)
    return _Plan(model, head, form, choices, len(ids), wants_usage)


def _conversation(asked: ChatRequest, tools: ToolUse) -> Conversation:
    return Conversation(
        for_template(asked.messages),
        tools.offered,
        asked.add_generation_prompt is not False,
        asked.chat_template_kwargs or {},
    )


async def _encoded(encoder: ChatEncoder, conversation: Conversation) -> tuple[int, ...]:
    if encoder.is_heavy(conversation, _INLINE_CHARACTERS):
        return await offload(encoder.encode, conversation)
    return encoder.encode(conversation)


def _with(request: GenerationRequest, asked: ChatRequest, top: int | None) -> GenerationRequest:
    if top is not None:
        request = replace(request, sampling=replace(request.sampling, logprobs=top))
    return replace(request, cache_salt=asked.cache_salt) if asked.cache_salt else request


def _members(asked: ChatRequest) -> dict[str, str]:
    """Option → the member that the caller wrote it as."""
    if asked.max_completion_tokens is not None:
        return {"max_tokens": "max_completion_tokens"}
    return {}


async def _events(plan: _Plan, wanted: Terms) -> Events:
    choices = [ChatChoice(plan.form, index) for index in range(len(plan.choices))]
    done = [Completion(choice.reader) for choice in plan.choices]
    is_open = [False] * len(choices)
    more = {"usage": None} if plan.wants_usage else {}
    pieces = pieces_of(plan.model, plan.choices, wanted)
    try:
        async for index, piece in pieces:
            done[index].add(piece)
            delta = choices[index].of_piece(piece)
            data = b""
            if not is_open[index]:  # with the first piece, not before: it shows that all is well
                is_open[index] = True
                data = sse.event(plan.head.document([choices[index].opening()], **more))
            if delta is not None:
                data += sse.event(plan.head.document([delta], **more))
            if data:
                yield data
    finally:
        await pieces.aclose()
    if plan.wants_usage:
        tokens = usage_of(plan.prompt_tokens, done)
        yield sse.event(plan.head.document([], usage=tokens))
    yield sse.DONE
