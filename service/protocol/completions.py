"""OpenAI's completions: the request, and its answer whole or in chunks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from service.completion import Completion, Piece
from service.protocol import logprobs as shapes
from service.protocol.generation import GenerationMembers, Usage, usage
from service.protocol.logprobs import Data, Pair
from service.protocol.openai import TEXT_FORMS, ParameterInvalid, Prompts

MAX_PROMPTS = 64

Prompt = str | tuple[int, ...]


class CompletionRequest(GenerationMembers):
    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {"suffix": ("",), "best_of": (1,)}
    forms: ClassVar[dict[str, str]] = {**GenerationMembers.forms, "prompt": TEXT_FORMS}

    prompt: Prompts = Field(description="text, token ids, or a list of either")
    max_tokens: int | None = Field(
        default=16, description="longest answer; 0 with echo: the prompt alone"
    )
    echo: bool | None = Field(default=False, description="repeat the prompt before the answer")
    logprobs: int | None = Field(
        default=None, ge=0, le=20, description="of each token, and of so many alternatives"
    )

    @property
    def prompts(self) -> list[Prompt]:
        """The four forms of `prompt` as a list. Raises ParameterInvalid for none or too many."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        if not prompt:
            raise ParameterInvalid("'prompt' must not be an empty list", "prompt")
        if isinstance(prompt[0], int):
            return [tuple(part for part in prompt if isinstance(part, int))]
        if len(prompt) > MAX_PROMPTS:
            raise ParameterInvalid(f"at most {MAX_PROMPTS} prompts in one request", "prompt")
        return [part if isinstance(part, str) else _ids(part) for part in prompt]

    @property
    def echoes_alone(self) -> bool:
        """Nothing is to be written: how likely the prompt is, is the question."""
        return self.max_tokens == 0 and bool(self.echo)

    @property
    def most_tokens(self) -> int | None:
        return 1 if self.echoes_alone else self.max_tokens


def _ids(part: int | list[int]) -> tuple[int, ...]:
    assert isinstance(part, list)  # the body model admits no mixture
    return tuple(part)


@dataclass(frozen=True)
class Head:
    """What every chunk says of the request."""

    id: str
    model: str
    fingerprint: str
    kind: str
    created: int = field(default_factory=lambda: int(time.time()))

    def document(self, choices: Sequence[object], **more: object) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
            **more,
        }


@dataclass(frozen=True)
class CompletionForm:
    """How one request wants its answers. `echoes`: of each choice, the text of its prompt or nothing.
    `prompts`: of each choice, its tokens. `top`: log-probabilities of alternatives; None: none at all."""

    data: Data
    echoes: Sequence[str]
    prompts: Sequence[Sequence[int]]
    top: int | None = None
    echoes_alone: bool = False


class CompletionChoice:
    """One answer on its way; `choice` makes what a chunk, or the whole answer, says of it."""

    def __init__(self, form: CompletionForm, index: int) -> None:
        self._form, self._index = form, index
        self._is_first = True
        self._offset = 0

    def of_piece(self, piece: Piece) -> dict[str, Any] | None:
        """None while there is nothing to say."""
        reason = piece.finish_reason
        text, tokens, found = piece.text, piece.token_ids, piece.logprobs
        return self._choice(text, tokens, found, piece.prompt_logprobs, reason)

    def whole(self, done: Completion) -> dict[str, Any]:
        choice = self._choice(
            done.reader.text,
            done.token_ids,
            done.logprobs,
            done.prompt_logprobs,
            done.finish_reason,
        )
        assert choice is not None
        return choice

    def _choice(
        self,
        text: str,
        tokens: Sequence[int],
        found: Sequence[Any],
        prompt_found: Sequence[Any],
        reason: str | None,
    ) -> dict[str, Any] | None:
        form = self._form
        pairs: list[Pair] = list(zip(tokens, found, strict=False))
        if form.echoes_alone:
            text, pairs, reason = "", [], reason and "length"
        if self._is_first and form.echoes[self._index]:
            text = form.echoes[self._index] + text
            pairs = [*zip(form.prompts[self._index], prompt_found, strict=False), *pairs]
        self._is_first = False
        logprobs = None
        if form.top is not None and pairs:
            logprobs = shapes.for_completion(pairs, form.data, form.top, self._offset)
            self._offset = logprobs["text_offset"][-1] + len(logprobs["tokens"][-1])
        if not text and not pairs and reason is None:
            return None
        return {
            "index": self._index,
            "text": text,
            "logprobs": logprobs,
            "finish_reason": reason,
        }


def usage_of(form: CompletionForm, done: Sequence[Completion], count: int) -> dict[str, Any]:
    """Each prompt counts once, however many answers (`count`) it got."""
    written = 0 if form.echoes_alone else sum(each.reader.token_count for each in done)
    read = sum(map(len, form.prompts[::count]))
    return usage(read, written, sum(each.cached_tokens for each in done[::count]))


Finish = Literal["stop", "length"]


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class ChoiceObject(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Finish


class CompletionAnswer(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int = Field(description="Unix time")
    model: str
    system_fingerprint: str
    choices: list[ChoiceObject]
    usage: Usage
