"""A conversation → the token ids of a prompt, for one bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenizers import Tokenizer

from models.errors import TextTooLong
from service.chat.guard import Guard
from service.chat.template import ChatTemplate, Message


@dataclass(frozen=True)
class Conversation:
    """What a caller sent, checked. `tools`: None where none are offered to the model. `variables`: more
    that the template may look at, such as `enable_thinking`."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] | None = None
    add_generation_prompt: bool = True
    variables: Mapping[str, object] = field(default_factory=dict)


class ChatEncoder:
    """`most_characters`: of a conversation that could fit into the model's context at all."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, most_characters: int) -> None:
        self._template = template
        self._guard = Guard(tokenizer, template.source)
        self._most_characters = most_characters

    def is_heavy(self, conversation: Conversation, inline_characters: int) -> bool:
        """True when encoding it would hold up the event loop."""
        return self._length(conversation) > inline_characters

    def encode(self, conversation: Conversation) -> tuple[int, ...]:
        """Raises ConversationInvalid, and TextTooLong before anything is laid out in vain."""
        length = self._length(conversation)
        if length > self._most_characters:
            raise TextTooLong(
                f"the messages' {length:,} characters cannot fit into this model's context"
            )
        guard = self._guard
        messages, tools = list(conversation.messages), conversation.tools
        mark = guard.mark_for(messages, tools, conversation.variables)
        text = self._template.render(
            [guard.broken(each, mark, is_own=each["role"] == "assistant") for each in messages],
            None if tools is None else guard.broken(list(tools), mark),
            add_generation_prompt=conversation.add_generation_prompt,
            variables=guard.broken(dict(conversation.variables), mark),
        )
        return guard.encode(text, mark)

    def _length(self, conversation: Conversation) -> int:
        return _characters(conversation.messages) + _characters(conversation.tools)


def _characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + _characters(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return sum(map(_characters, value))
    return 0
