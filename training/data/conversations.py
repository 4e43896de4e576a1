"""Conversations to learn answers from: chat JSONL, their tokens, and several packed into one window.

A line is `{"messages": [{"role": …, "content": …}, …]}`, with `tools` beside it where functions are
offered. Only what an assistant says is learned; all else is read.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import Dataset

from training.chat_template import CONTROL_TOKENS, MESSAGE_END, render
from training.data.byte_tokenizer import END_OF_TEXT, END_OF_TEXT_ID
from training.data.split_files import read_utf8
from training.data.windows import IGNORED, Batch, Tokens
from training.errors import DataError

Message = Mapping[str, Any]
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_OPEN_WINDOWS = 64  # windows that a conversation is tried to fit into


@dataclass(frozen=True)
class Conversation:
    """`topic` groups figures on the card; "" where the data have none."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] | None = None
    topic: str = ""

    @property
    def answer(self) -> str:
        """The last thing the assistant says, as it is written."""
        *before, last = self.messages
        prompt = render(before, self.tools, add_generation_prompt=True)
        return render((*before, last), self.tools)[len(prompt) :].removesuffix(f"{MESSAGE_END}\n")

    @property
    def question(self) -> str:
        """Everything before it."""
        return render(self.messages[:-1], self.tools)


@dataclass(frozen=True)
class Encoded:
    """Tokens of a conversation, and which of them the assistant wrote (its end of message too)."""

    ids: Tokens
    is_answer: NDArray[np.bool_]


def read_conversations(path: Path) -> list[Conversation]:
    """Every conversation ends with an answer. Raises DataError naming file and line."""
    if not path.is_file():
        raise DataError(f"--data {path}: not a file; expected chat JSONL")
    found = []
    for number, line in enumerate(read_utf8(path).split("\n"), 1):
        if line.strip():
            try:
                found.append(_conversation(json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number}: {error}") from error
    if len(found) < 2:
        raise DataError(f"{path}: {len(found)} conversations; at least 2 are needed")
    return found


def _conversation(entry: object) -> Conversation:
    """Raises ValueError saying what is wrong."""
    messages = entry.get("messages") if isinstance(entry, dict) else None
    if not isinstance(messages, list) or not messages:
        raise ValueError('expected {"messages": [{"role": …, "content": …}, …]}')
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise ValueError(f"a message needs a role, one of {', '.join(sorted(_ROLES))}")
        content = message.get("content")
        if not isinstance(content, str) and not (content is None and message.get("tool_calls")):
            raise ValueError(f"the content of a message by {message['role']} is not text")
        if any(token in (content or "") for token in (*CONTROL_TOKENS, END_OF_TEXT)):
            raise ValueError("a message holds one of the template's control tokens")
    assert isinstance(entry, dict)
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()  # nothing follows that could be learned
    if not messages:
        raise ValueError("the assistant says nothing in this conversation")
    tools = entry.get("tools")
    return Conversation(
        tuple(messages), tuple(tools) if tools else None, str(entry.get("topic", ""))
    )


def encode(conversation: Conversation, tokenizer: Tokenizer) -> Encoded:
    """Cut where the service cuts: it encodes the prompt, and the model writes the rest."""
    done, parts = 0, []
    for place, message in enumerate(conversation.messages):
        if message["role"] != "assistant":
            continue
        before = conversation.messages[:place]
        prompt = render(before, conversation.tools, add_generation_prompt=True)
        whole = render((*before, message), conversation.tools)
        end = whole.rindex(MESSAGE_END) + len(MESSAGE_END)
        parts += [(prompt[done:], False), (whole[len(prompt) : end], True)]
        done = end
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text, _ in parts]
    answers = [np.full(len(row), own) for row, (_, own) in zip(ids, parts, strict=True)]
    return Encoded(np.concatenate(ids).astype(np.int64), np.concatenate(answers))


class PackedConversations(Dataset[Batch]):
    """Whole conversations side by side in windows of `length` tokens; none is cut.

    Each begins with an end of text, by which `LanguageModule` keeps them from seeing one another.
    """

    def __init__(self, conversations: Sequence[Encoded], length: int) -> None:
        windows = _pack([len(entry.ids) for entry in conversations], length + 1)
        shape = (len(windows), length + 1)
        ids = np.full(shape, END_OF_TEXT_ID, np.int64)
        targets = np.full(shape, IGNORED, np.int64)
        for row, window in enumerate(windows):
            at = 0
            for number in window:
                entry = conversations[number]
                place = slice(at, at + len(entry.ids))
                ids[row, place] = entry.ids
                targets[row, place] = np.where(entry.is_answer, entry.ids, IGNORED)
                at = place.stop
        self._ids = torch.from_numpy(ids[:, :-1].copy())
        self._targets = torch.from_numpy(targets[:, 1:].copy())

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, rows: list[int]) -> Batch:
        return self._ids[rows], self._targets[rows]


def _pack(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """First fit, in the given order; sizes beyond the capacity must have been left out."""
    windows: list[list[int]] = []
    room: list[int] = []
    for number, size in enumerate(sizes):
        first = max(0, len(windows) - _OPEN_WINDOWS)
        fitting = next((w for w in range(first, len(windows)) if room[w] >= size), None)
        if fitting is None:
            fitting = len(windows)
            windows.append([])
            room.append(capacity)
        windows[fitting].append(number)
        room[fitting] -= size
    return windows
