"""What the text-generating routes share: the model, its options, n answers, streams in OpenAI's dialect.

Not a family of routes.
"""

from collections.abc import Mapping
from dataclasses import replace

from fastapi import Request

from models.errors import SlipwayError
from service.event_stream import Events, EventStream
from service.generation.request import GenerationRequest
from service.generation.seeds import choice_seed
from service.offload import offload
from service.protocol import sse
from service.protocol.openai import ParameterInvalid, error_object
from service.registry import ServedModel
from service.routes.context import model_headers, served
from service.tasks.base import GenerationTask, OptionInvalid, TaskOptions
from service.tasks.sampling_options import TextGenerationOptions
from service.tasks.text_generation import Prompt, TextGeneration


async def text_model(
    request: Request, name: str, version: str | None = None
) -> tuple[ServedModel, TextGeneration]:
    """Raises UnknownModel, NotReady, and ParameterInvalid for a model of another kind."""
    model, task = await served(request, name, version)
    if not isinstance(task, TextGeneration):
        raise ParameterInvalid(f"model {name!r} does {task.name}, not text generation", "model")
    return model, task


def option_named(
    task: TextGeneration, given: Mapping[str, object], names: Mapping[str, str] | None = None
) -> TextGenerationOptions:
    """The options; a wrong one is told by the member (`names`: option → member) that the caller wrote."""
    try:
        return task.parse_options(given)
    except OptionInvalid as error:
        error.option = (names or {}).get(error.option, error.option)
        raise


async def prepared(task: GenerationTask, prompt: Prompt, options: TaskOptions) -> GenerationRequest:
    """Tokenized; off the event loop where that takes long. Raises InputError and its kin."""
    if task.is_heavy(prompt):
        return await offload(task.preprocess, prompt, options)
    return task.preprocess(prompt, options)


def nth(request: GenerationRequest, index: int) -> GenerationRequest:
    """The request of one of `n` answers. Equal seeds would give `n` equal answers."""
    seed = request.sampling.seed
    if seed is None or index == 0:
        return request
    return replace(request, sampling=replace(request.sampling, seed=choice_seed(seed, index)))


async def streamed(request: Request, model: ServedModel, events: Events) -> EventStream:
    """Raises what comes instead of a first event."""
    headers = model_headers(model)
    return await EventStream.begun(request, events, _last_words, model.meters.written, headers)


def _last_words(error: SlipwayError) -> bytes:
    return sse.event(error_object(error)) + sse.DONE
