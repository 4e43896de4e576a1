"""Running a generation request: engine events → certain text, until the model or the caller has enough.

Stop strings are judged here, because only here is there text. `stream` is the one consumer of engine
events; `complete` collects it for answers that are sent at once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import cast

from models.errors import InferenceFailed, InputRefused, SlipwayError
from service.errors import (
    BadRequest,
    DeadlineExceeded,
    NotReady,
    QueueFull,
    ShuttingDown,
    WorkerLost,
)
from service.generation.request import GenerationEvent, GenerationRequest, TokenLogprobs
from service.observability.written import WrittenMeters
from service.registry import ServedModel
from service.tasks.base import TokenReader
from service.terms import Terms

_KINDS: dict[str, type[SlipwayError]] = {
    kind.reason: kind
    for kind in (
        BadRequest,
        DeadlineExceeded,
        InputRefused,
        NotReady,
        QueueFull,
        ShuttingDown,
        WorkerLost,
    )
}

_ABORT = "abort"


@dataclass(frozen=True)
class Piece:
    """Text that is certain now, and the tokens that have come since the last piece; their text may be
    certain only in a later one. The last piece has a finish reason ("stop" or "length"). `logprobs` is
    empty or as long as `token_ids`. `cached_tokens` and `prompt_logprobs` are of the first piece."""

    text: str
    finish_reason: str | None = None
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    cached_tokens: int = 0
    prompt_logprobs: tuple[TokenLogprobs | None, ...] = ()


@dataclass
class Completion:
    """An answer as far as it has come: `reader` holds its text and token count."""

    reader: TokenReader
    finish_reason: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    cached_tokens: int = 0
    prompt_logprobs: tuple[TokenLogprobs | None, ...] = ()

    def add(self, piece: Piece) -> None:
        self.finish_reason = piece.finish_reason or self.finish_reason
        self.token_ids += piece.token_ids
        self.logprobs += piece.logprobs
        self.cached_tokens += piece.cached_tokens
        self.prompt_logprobs = self.prompt_logprobs or piece.prompt_logprobs


def under_terms(request: GenerationRequest, terms: Terms, now: float) -> GenerationRequest:
    """The request with its caller's urgency, deadline and name. Callers that are told apart share no
    cached prompts: what one sent must not show in the time that another waits."""
    left_s = None if terms.deadline is None else max(0.0, terms.deadline - now)
    salt = request.cache_salt
    if terms.caller is not None:
        salt = f"{terms.caller.hex()}{salt}"
    return replace(request, priority=terms.priority, deadline_s=left_s, cache_salt=salt)


async def stream(
    model: ServedModel, request: GenerationRequest, reader: TokenReader
) -> AsyncIterator[Piece]:
    """Pieces as they become certain. Leaving early, or a stop string, cancels the work in the worker.

    Raises what the engine answered instead of text.
    """
    told = _Told(model.meters.written, request)
    source = cast(AsyncGenerator[GenerationEvent, None], model.pool.generate(model.key, request))
    try:
        async with aclosing(source) as events:
            async for event in events:
                told.event(event)
                piece = _piece(event, reader)
                if piece.finish_reason is not None:
                    told.outcome = piece.finish_reason
                    yield piece
                    return
                if piece.text or piece.token_ids:
                    yield piece
        raise InferenceFailed("the generation ended without saying why")
    except SlipwayError:
        told.outcome = ""  # counted as a failed request, by its reason
        raise
    finally:
        told.end()


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
    done = Completion(reader)
    try:
        async with asyncio.timeout_at(deadline):
            async with aclosing(
                cast(AsyncGenerator[Piece, None], stream(model, request, reader))
            ) as pieces:
                async for piece in pieces:
                    done.add(piece)
    except TimeoutError as error:
        raise too_late(reader) from error
    return done


def too_late(reader: TokenReader) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the answer was not finished in time: {reader.token_count} tokens were; "
        "ask for fewer with max_tokens"
    )


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


def _piece(event: GenerationEvent, reader: TokenReader) -> Piece:
    """What an event means for the reader. Raises what it reports instead of tokens."""
    if event.finish_reason == "deadline":
        raise too_late(reader)
    if event.finish_reason in ("error", "cancelled"):
        raise failure(event)
    before = reader.token_count
    text = reader.feed(event.token_ids)
    read = reader.token_count - before  # a stop string may come before the event's last token
    reason = "stop" if reader.is_done else event.finish_reason
    if reason is not None and not reader.is_done:
        text += reader.finish()
        reader.last = event
    return Piece(
        text,
        reason,
        event.token_ids[:read],
        event.logprobs[:read],
        event.cached_tokens,
        event.prompt_logprobs,
    )


class _Told:
    """What one request tells the meters."""

    def __init__(self, meters: WrittenMeters, request: GenerationRequest) -> None:
        self._meters = meters
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._last: float | None = None
        self._tokens = 0
        self.outcome = _ABORT
        meters.began(len(request.source_ids or request.prompt_ids))

    def event(self, event: GenerationEvent) -> None:
        if not event.token_ids:
            return
        now = self._clock()
        since = now - (self._began if self._last is None else self._last)
        self._meters.tokens_came(len(event.token_ids), since, is_first=self._last is None)
        self._last = now
        self._tokens += len(event.token_ids)

    def end(self) -> None:
        if self.outcome:
            self._meters.ended(self.outcome, self._tokens, self._clock() - self._began)
