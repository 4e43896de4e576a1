"""OpenAI's `POST /v1/completions`, answered at once; streaming is refused by name."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.connection import while_connected
from service.intake import content_type, parse_json
from service.pipeline import Ask, predict
from service.protocol.openai import (
    MAX_CHOICES,
    MAX_PROMPTS,
    CompletionAnswer,
    CompletionRequest,
    OpenAIRoute,
    ParameterInvalid,
    body_of,
    bounded,
    parse,
)
from service.responses import Json
from service.routes.context import request_id, served, server_timing, terms
from service.tasks.base import Answer
from service.tasks.text_generation import Prompt, TextGeneration, TextGenerationOptions

router = APIRouter(tags=["openai"], route_class=OpenAIRoute)


@router.post(
    "/v1/completions",
    summary="Continue a prompt",
    response_model=CompletionAnswer,
    openapi_extra=body_of(CompletionRequest),
)
async def create_completion(request: Request) -> Response:
    content_type(request)  # refuses what is not UTF-8, or compressed
    asked = parse(CompletionRequest, parse_json(await request.body()))
    model, task = await served(request, asked.model)
    if not isinstance(task, TextGeneration):
        raise ParameterInvalid(
            f"model {asked.model!r} does {task.name}, not text generation", "model"
        )
    count = bounded("n", asked.n, MAX_CHOICES)
    prompts = _prompts(asked)
    options = _options(asked, task)
    asks = [Ask(prompt, _nth(options, index)) for prompt in prompts for index in range(count)]
    work = predict(model, asks, terms(request))
    prediction = await while_connected(request, work)
    echoes = [_text(prompt, task) if asked.echo else "" for prompt in prompts]
    body = {
        "id": f"cmpl-{request_id(request)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model.key.name,
        "choices": [
            {
                "index": index,
                "text": f"{echoes[index // count]}{answer['text']}",
                "logprobs": None,
                "finish_reason": answer["finish_reason"],
            }
            for index, answer in enumerate(prediction.answers)
        ],
        "usage": _usage(prediction.answers, count),
    }
    return Json(body, headers={"server-timing": server_timing(request, prediction.phases)})


def _prompts(asked: CompletionRequest) -> list[Prompt]:
    """The four forms of `prompt` as a list. Raises ParameterInvalid for none or too many."""
    prompt = asked.prompt
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise ParameterInvalid("'prompt' must not be an empty list", "prompt")
    if isinstance(prompt[0], int):
        return [tuple(part for part in prompt if isinstance(part, int))]
    if len(prompt) > MAX_PROMPTS:
        raise ParameterInvalid(f"at most {MAX_PROMPTS} prompts in one request", "prompt")
    return [part if isinstance(part, str) else tuple(_ids(part)) for part in prompt]


def _ids(part: int | list[int]) -> list[int]:
    assert isinstance(part, list)  # the body model admits no mixture
    return part


def _options(asked: CompletionRequest, task: TextGeneration) -> TextGenerationOptions:
    """Members that are null or absent take the option's default. Raises OptionInvalid."""
    names = ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop")
    given = {name: getattr(asked, name) for name in names}
    return task.parse_options({name: v for name, v in given.items() if v is not None})


def _nth(options: TextGenerationOptions, index: int) -> TextGenerationOptions:
    """Seeds of further answers count up: equal seeds would give `n` equal answers."""
    if options.seed is None or index == 0:
        return options
    seed = (options.seed + index + 2**63) % 2**64 - 2**63
    return options.model_copy(update={"seed": seed})


def _text(prompt: Prompt, task: TextGeneration) -> str:
    if isinstance(prompt, str):
        return prompt
    text: str = task.tokenizer.decode(list(prompt), skip_special_tokens=True)
    return text


def _usage(answers: list[Answer], count: int) -> dict[str, int]:
    """Each prompt counts once, however many answers it got."""
    read = sum(int(str(answer["prompt_tokens"])) for answer in answers[::count])
    written = sum(int(str(answer["completion_tokens"])) for answer in answers)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }
