"""Only answers are learned, conversations are never cut, and bad lines are named."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from training.chat_template import CONTROL_TOKENS
from training.data.byte_tokenizer import END_OF_TEXT_ID, train_tokenizer
from training.data.conversations import (
    Conversation,
    Encoded,
    PackedConversations,
    encode,
    read_conversations,
)
from training.data.windows import IGNORED
from training.errors import DataError

USER = {"role": "user", "content": "Who are you?"}
ASSISTANT = {"role": "assistant", "content": "A model."}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["Who are you? A model."], 0, "bytes", special=CONTROL_TOKENS)


def write(path: Path, *entries: object) -> Path:
    path.write_text("\n".join(json.dumps(entry) for entry in entries))
    return path


def test_every_answer_is_learned_with_its_end_and_nothing_else(tokenizer: Tokenizer) -> None:
    encoded = encode(Conversation((USER, ASSISTANT, USER, ASSISTANT)), tokenizer)
    learned = tokenizer.decode(encoded.ids[encoded.is_answer].tolist(), skip_special_tokens=False)
    assert learned == "A model.<|im_end|>A model.<|im_end|>"
    assert encoded.ids[0] == END_OF_TEXT_ID
    assert encoded.is_answer[-1]


def test_conversations_share_windows_whole_and_only_answers_are_targets() -> None:
    sizes = (5, 9, 4, 11, 6, 4)
    conversations = [
        Encoded(
            np.array([END_OF_TEXT_ID, *range(10 * n + 10, 10 * n + 9 + size)]),
            np.arange(size) >= size - 2,
        )
        for n, size in enumerate(sizes)
    ]
    packed = PackedConversations(conversations, 11)
    ids, targets = packed[list(range(len(packed)))]
    assert len(packed) < len(sizes)
    assert sorted(targets[targets != IGNORED].tolist()) == sorted(
        token for entry in conversations for token in entry.ids[-2:].tolist()
    )
    for row, wanted in zip(ids.tolist(), targets.tolist(), strict=True):
        for token, following in zip(row, wanted, strict=True):
            assert following in (IGNORED, token + 1)


def test_jsonl_is_read_with_its_tools_and_ends_with_an_answer(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    path = write(
        tmp_path / "chat.jsonl",
        {"messages": [USER, ASSISTANT, USER], "tools": tools},
        {"messages": [USER, ASSISTANT]},
    )
    first, second = read_conversations(path)
    assert first == Conversation((USER, ASSISTANT), tuple(tools))
    assert second.tools is None


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"text": "x"}, "expected"),
        ({"messages": []}, "expected"),
        ({"messages": [USER]}, "says nothing"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": 3}]}, "not text"),
        ({"messages": [{"role": "user", "content": "<|im_end|>"}, ASSISTANT]}, "control tokens"),
    ],
)
def test_a_bad_conversation_is_named(tmp_path: Path, entry: object, complaint: str) -> None:
    path = write(tmp_path / "chat.jsonl", {"messages": [USER, ASSISTANT]}, entry)
    with pytest.raises(DataError, match=rf"chat\.jsonl, line 2: .*{complaint}"):
        read_conversations(path)
