"""Messages and tools of OpenAI's chat as callers write them → the form that chat templates read.

Roles are checked here, their order by the model's own template. `developer` is OpenAI's newer word for
`system`, which is what templates know. Parts of a content are text and nothing else; they are joined by line
breaks, as vLLM does. A call's arguments, JSON as text on the wire, are an object to templates.
"""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.chat.template import Message
from service.protocol.openai import ParameterInvalid

MAX_MESSAGES = 1_024
MAX_TOOLS = 128
_NAME = r"^[A-Za-z0-9_.-]{1,64}$"


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    text: str | None = None


class CalledFunction(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    arguments: str = Field(default="{}", description="JSON object as text")


class Call(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


class Function(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = Field(default=None, description="JSON Schema of an object")


class Tool(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["function"]
    function: Function

    def for_template(self) -> dict[str, Any]:
        return {"type": "function", "function": self.function.model_dump(exclude_none=True)}


def for_template(messages: list[ChatMessage]) -> list[Message]:
    """Raises ParameterInvalid naming the message: none or too many, no text, parts that are not text."""
    if not messages:
        raise ParameterInvalid("'messages' must hold at least one message", "messages")
    if len(messages) > MAX_MESSAGES:
        raise ParameterInvalid(f"at most {MAX_MESSAGES} messages in one request", "messages")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: ChatMessage, where: str) -> Message:
    role = "system" if message.role == "developer" else message.role
    read: Message = {"role": role, "content": _text(message, where)}
    if message.name is not None:
        read["name"] = message.name
    if message.tool_calls is not None:
        if role != "assistant":
            raise ParameterInvalid(
                "only an assistant's message has 'tool_calls'", f"{where}.tool_calls"
            )
        read["tool_calls"] = [
            _call(call, f"{where}.tool_calls[{index}]")
            for index, call in enumerate(message.tool_calls)
        ]
    if role == "tool":
        if message.tool_call_id is None:
            raise ParameterInvalid("a tool's message needs 'tool_call_id'", f"{where}.tool_call_id")
        read["tool_call_id"] = message.tool_call_id
    return read


def _text(message: ChatMessage, where: str) -> str:
    content = message.content
    if content is None:
        if message.role == "assistant" and message.tool_calls:
            return ""
        raise ParameterInvalid("a message needs 'content'", f"{where}.content")
    if isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content):
        if part.type not in ("text", "input_text", "refusal") or part.text is None:
            raise ParameterInvalid(
                f"parts of type {part.type[:32]!r} are not read by this model; text is",
                f"{where}.content[{index}].type",
            )
        texts.append(part.text)
    return "\n".join(texts)


def _call(call: Call, where: str) -> dict[str, Any]:
    try:
        arguments = json.loads(call.function.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ParameterInvalid(
            "a call's arguments must be a JSON object as text", f"{where}.function.arguments"
        )
    function = {"name": call.function.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}
