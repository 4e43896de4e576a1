"""Calls are found whole and content is found at once, however the text is cut into pieces."""

import json
import random
from collections.abc import Iterator

import pytest

from service.chat.tool_calls import Parsed, ToolCall, ToolCallFormat, parser_of

CALL = '<tool_call>\n{"name": "f", "arguments": {"a": "<tool_call>é", "b": [1]}}\n</tool_call>'
FOUND = ToolCall("f", '{"a": "<tool_call>é", "b": [1]}')
NAMES = ["f", "g"]


def read(form: ToolCallFormat, pieces: list[str]) -> tuple[str, list[ToolCall], list[Parsed]]:
    parser = parser_of(form, NAMES)
    parsed = [*(parser.feed(piece) for piece in pieces), parser.finish()]
    return "".join(p.content for p in parsed), [c for p in parsed for c in p.calls], parsed


CASES: list[tuple[ToolCallFormat, str, str, list[ToolCall]]] = [
    ("none", CALL, CALL, []),
    ("hermes", "plain <text", "plain <text", []),
    ("hermes", CALL, "", [FOUND]),
    ("hermes", f"I look.\n{CALL}\n{CALL}", "I look.\n", [FOUND, FOUND]),
    ("hermes", f"a{CALL}b", "ab", [FOUND]),
    ("hermes", "a <tool_call>no json</tool_call> b", "a <tool_call>no json</tool_call> b", []),
    ("hermes", '<tool_call>{"name": 1}</tool_call>', '<tool_call>{"name": 1}</tool_call>', []),
    ("hermes", 'a <tool_call>{"name": "f", "argu', "a ", []),
    ("hermes", '<tool_call>{"name": "f"}</tool_call>', "", [ToolCall("f", "{}")]),
    ("hermes", "a </tool_call> b", "a </tool_call> b", []),
    (
        "hermes",
        '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
        "",
        [ToolCall("f", '{"a": 1}')],
    ),
    (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {"a": NaN}}</tool_call>',
        '<tool_call>{"name": "f", "arguments": {"a": NaN}}</tool_call>',
        [],
    ),
    ("llama", "plain {text}", "plain {text}", []),
    ("llama", ' {"name": "f", "parameters": {"a": 1}}', "", [ToolCall("f", '{"a": 1}')]),
    (
        "llama",
        '{"name": "f", "parameters": {}}; {"name": "g", "parameters": {}}',
        "",
        [ToolCall("f", "{}"), ToolCall("g", "{}")],
    ),
    ("llama", '{"name": "Bob", "parameters": {}}', '{"name": "Bob", "parameters": {}}', []),
    ("llama", '{"age": 5}', '{"age": 5}', []),
    ("llama", '{"name": "f", "parameters": {"a', "", []),
    ("llama", '{"age": ', '{"age": ', []),
    ("forced", '{"name": "g", "arguments": {"x": []}}', "", [ToolCall("g", '{"x": []}')]),
]


def cuts(text: str) -> Iterator[list[str]]:
    yield [text]
    yield list(text)
    for seed in range(20):
        rng = random.Random(seed)
        edges = sorted(rng.sample(range(len(text) + 1), min(5, len(text))))
        yield [text[a:b] for a, b in zip([0, *edges], [*edges, len(text)], strict=True)]


@pytest.mark.parametrize(("form", "text", "content", "calls"), CASES)
def test_the_reading_does_not_depend_on_the_pieces(
    form: ToolCallFormat, text: str, content: str, calls: list[ToolCall]
) -> None:
    for pieces in cuts(text):
        assert read(form, pieces)[:2] == (content, calls), pieces


def test_no_piece_of_a_call_is_content() -> None:
    _, _, parsed = read("hermes", list(f"ok {CALL}"))
    shown = [p.content for p in parsed]
    assert "".join(shown) == "ok "
    assert shown[:3] == ["o", "k", " "]  # content does not wait
    assert all(json.loads(call.arguments) for p in parsed for call in p.calls)


def test_what_only_looks_like_a_tag_is_given_out_as_soon_as_it_is_none() -> None:
    parser = parser_of("hermes", NAMES)
    assert parser.feed("a <tool").content == "a "
    assert parser.feed("box>").content == "<toolbox>"
