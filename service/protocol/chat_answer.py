"""OpenAI's chat answers: pieces of text → deltas, or one message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.chat.tool_calls import ToolCall, parser_of
from service.completion import Completion, Piece
from service.generation.request import TokenLogprobs
from service.protocol import logprobs as shapes
from service.protocol.chat import ToolUse
from service.protocol.generation import Usage, usage
from service.protocol.logprobs import Data


@dataclass(frozen=True)
class ChatForm:
    """How one request wants its answers. `id`: calls' ids begin with it. `top`: as in completions."""

    id: str
    data: Data
    tools: ToolUse
    top: int | None = None


class ChatChoice:
    """One answer on its way. Calls are sent whole, when the last character of one has come."""

    def __init__(self, form: ChatForm, index: int) -> None:
        self._form, self._index = form, index
        self._parser = parser_of(form.tools.form, form.tools.names)
        self._calls = 0

    def opening(self) -> dict[str, Any]:
        """The first chunk's, before there is any text."""
        return self._delta({"role": "assistant", "content": ""})

    def of_piece(self, piece: Piece) -> dict[str, Any] | None:
        """None while there is nothing to say."""
        content, calls = self._read(piece.text, is_last=piece.finish_reason is not None)
        logprobs = self._logprobs(piece.token_ids, piece.logprobs)
        delta: dict[str, Any] = {}
        if content or logprobs:
            delta["content"] = content
        if calls:
            delta["tool_calls"] = [{"index": number, **call} for number, call in calls]
        if not delta and piece.finish_reason is None:
            return None
        return self._delta(delta, logprobs, self._reason(piece.finish_reason))

    def whole(self, done: Completion) -> dict[str, Any]:
        content, calls = self._read(done.reader.text, is_last=True)
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if calls:
            message["content"] = content or None
            message["tool_calls"] = [call for _, call in calls]
        return {
            "index": self._index,
            "message": message,
            "logprobs": self._logprobs(done.token_ids, done.logprobs),
            "finish_reason": self._reason(done.finish_reason),
        }

    def _read(self, text: str, *, is_last: bool) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
        """What is certain now: content, and calls with their numbers."""
        parsed = self._parser.feed(text)
        content, found = parsed.content, list(parsed.calls)
        if is_last:
            rest = self._parser.finish()
            content += rest.content
            found += rest.calls
        calls = []
        for call in found:
            if self._form.tools.is_parallel or not self._calls:
                calls.append((self._calls, self._call(call)))
                self._calls += 1
        return content, calls

    def _call(self, call: ToolCall) -> dict[str, Any]:
        return {
            "id": f"call_{self._form.id}_{self._index}_{self._calls}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }

    def _reason(self, reason: str | None) -> str | None:
        """OpenAI: a call that was demanded by name ends with "stop", any other with "tool_calls"."""
        if reason == "stop" and self._calls and not self._form.tools.is_named:
            return "tool_calls"
        return reason

    def _logprobs(
        self, tokens: Sequence[int], found: Sequence[TokenLogprobs]
    ) -> dict[str, Any] | None:
        if self._form.top is None or not found:
            return None
        pairs = list(zip(tokens, found, strict=False))
        content = shapes.for_chat(pairs, self._form.data, self._form.top)
        return {"content": content, "refusal": None}

    def _delta(
        self,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        return {
            "index": self._index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": reason,
        }


def usage_of(prompt_tokens: int, done: Sequence[Completion]) -> dict[str, Any]:
    """The prompt counts once, however many answers it got."""
    written = sum(each.reader.token_count for each in done)
    return usage(prompt_tokens, written, done[0].cached_tokens)


Finish = Literal["stop", "length", "tool_calls"]


class CallObject(BaseModel):
    id: str
    type: Literal["function"] = "function"
    function: dict[str, str] = Field(description="name, and arguments as JSON text")


class MessageObject(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[CallObject] | None = None


class ChatChoiceObject(BaseModel):
    index: int
    message: MessageObject
    logprobs: dict[str, Any] | None = None
    finish_reason: Finish


class ChatAnswer(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time")
    model: str
    system_fingerprint: str
    choices: list[ChatChoiceObject]
    usage: Usage
