"""Running a generation request: engine events → certain text, until the model or the caller has enough.

Stop strings are judged here, because only here is there text. `stream` is the one consumer of engine
events; `complete` collects it for answers that are sent at once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from models.errors import SlipwayError
from service.errors import (
    BadRequest,
    DeadlineExceeded,
    InferenceFailed,
    InputRefused,
    NotReady,
    QueueFull,
    ShuttingDown,
    WorkerLost,
)
from service.generation.request import GenerationEvent, GenerationRequest
from service.registry import ServedModel
from service.tasks.base import TokenReader

_KINDS: dict[str, type[SlipwayError]] = {
    kind.reason: kind
    for kind in (BadRequest, InputRefused, NotReady, QueueFull, ShuttingDown, WorkerLost)
}


@dataclass(frozen=True)
class Piece:
    """Text that is certain now; the last piece has a finish reason ("stop" or "length")."""

    text: str
    finish_reason: str | None = None


@dataclass(frozen=True)
class Completion:
    """A finished answer: `reader` holds its text and token count."""

    reader: TokenReader
    finish_reason: str


async def stream(
    model: ServedModel, request: GenerationRequest, reader: TokenReader
) -> AsyncIterator[Piece]:
    """Pieces as they become certain. Leaving early, or a stop string, cancels the work in the worker.

    Raises what the engine answered instead of text.
    """
    meters, clock = model.meters, asyncio.get_running_loop().time
    began, last = clock(), 0.0
    meters.prompt_tokens += len(request.prompt_ids)
    source = cast(AsyncGenerator[GenerationEvent, None], model.pool.generate(model.key, request))
    async with aclosing(source) as events:
        async for event in events:
            if event.finish_reason in ("error", "cancelled"):
                raise failure(event)
            if event.token_ids:
                now = clock()
                if last == 0.0:
                    meters.time_to_first_token.observe(now - began)
                else:  # tokens that came together share the time since the last
                    tokens = len(event.token_ids)
                    meters.inter_token_latency.observe((now - last) / tokens, tokens)
                last = now
            meters.generated_tokens += len(event.token_ids)
            text = reader.feed(event.token_ids)
            if reader.is_done:
                yield Piece(text, "stop")
                return
            if event.finish_reason is not None:
                yield Piece(text + reader.finish(), event.finish_reason)
                return
            if text:
                yield Piece(text)
    raise InferenceFailed("the generation ended without saying why")


async def complete(
    model: ServedModel,
    request: GenerationRequest,
    reader: TokenReader,
    *,
    deadline: float | None = None,
) -> Completion:
    """The whole answer. `deadline`: `loop.time()` seconds; past it the work is cancelled.

    Raises DeadlineExceeded and what `stream` raises.
    """
    finish_reason = ""
    try:
        async with asyncio.timeout_at(deadline):
            async with aclosing(
                cast(AsyncGenerator[Piece, None], stream(model, request, reader))
            ) as pieces:
                async for piece in pieces:
                    finish_reason = piece.finish_reason or finish_reason
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"the answer was not finished in time: {reader.token_count} tokens were; "
            "ask for fewer with max_tokens"
        ) from error
    return Completion(reader, finish_reason)


def failure(event: GenerationEvent) -> SlipwayError:
    """The error that an event reports; one that is not known here is ours to look into."""
    message = event.error or "the generation was stopped"
    kind = _KINDS.get(event.code or "")
    if kind is None:
        return InferenceFailed(message, event.code or "")
    error = kind(message)
    if event.retry_after_s is not None:
        error.retry_after_s = event.retry_after_s
    return error
