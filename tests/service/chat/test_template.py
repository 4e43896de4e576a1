"""Laid out as transformers lays it out, within bounds."""

from datetime import datetime
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from models.errors import ManifestInvalid
from service.chat.template import MAX_TEMPLATE_CHARACTERS, ChatTemplate, ConversationInvalid
from tests.service.chat.templates import (
    CHATML,
    FAMILIES,
    GEMMA,
    HERMES,
    LLAMA3,
    MISTRAL,
    chat_tokenizer,
)

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
DAY = datetime(2026, 5, 4)


def said(*turns: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in turns]


PLAIN = said(
    ("user", "  What is 1 < 2 & 'three'?\n"), ("assistant", "é “yes”  \n"), ("user", "So?")
)
SYSTEM = said(("system", " Be brief. "), *((m["role"], m["content"]) for m in PLAIN))
THOUGHT = said(("user", "Hm"), ("assistant", "<think>\nlong\n</think>\n\nShort."), ("user", "Why?"))
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the <weather> — “now”",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer", "default": 1.0},
                },
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
CALLED = [
    *said(("system", "Tools."), ("user", "Weather in Umeå?")),
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "weather", "arguments": {"city": "Umeå", "days": None}},
            }
        ],
    },
    {"role": "tool", "content": '{"t": -3}', "tool_call_id": "c1"},
]


def transformers_text(source: str, conversation: list[dict[str, Any]], **more: Any) -> str:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=chat_tokenizer(), **TOKENS)
    text = tokenizer.apply_chat_template(conversation, chat_template=source, tokenize=False, **more)
    assert isinstance(text, str)
    return text


CASES = [
    *((name, PLAIN, None, {}) for name in FAMILIES),
    *((name, SYSTEM, None, {}) for name in ("chatml", "llama3", "hermes")),
    *((name, CALLED, TOOLS, {}) for name in ("llama3", "hermes")),
    *((name, SYSTEM, TOOLS, {}) for name in ("llama3", "hermes")),
    ("hermes", THOUGHT, None, {}),
    ("hermes", THOUGHT, None, {"enable_thinking": False}),
    ("llama3", PLAIN, None, {"date_string": "today"}),
]


@pytest.mark.parametrize("prompts", [True, False])
@pytest.mark.parametrize(("name", "conversation", "tools", "variables"), CASES)
def test_the_text_is_that_of_transformers(
    name: str,
    conversation: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
    variables: dict[str, Any],
    prompts: bool,
) -> None:
    source = FAMILIES[name]
    template = ChatTemplate(source, TOKENS, now=datetime.now)
    found = template.render(conversation, tools, add_generation_prompt=prompts, variables=variables)
    wanted = transformers_text(
        source, conversation, tools=tools, add_generation_prompt=prompts, **variables
    )
    assert found == wanted


def test_the_date_is_that_of_the_server() -> None:
    text = ChatTemplate(LLAMA3, TOKENS, now=lambda: DAY).render(PLAIN)
    assert "Today Date: 04 May 2026" in text


@pytest.mark.parametrize(
    ("source", "conversation", "words"),
    [
        (MISTRAL, said(("assistant", "a")), "must alternate"),
        (MISTRAL, said(("system", "a")), "must alternate"),
        (GEMMA, said(("system", "a"), ("user", "b")), "System role not supported"),
        (CHATML, [], "UndefinedError"),
    ],
)
def test_a_refusal_has_the_templates_own_words(
    source: str, conversation: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(ConversationInvalid, match=words) as refusal:
        ChatTemplate(source, TOKENS).render(conversation)
    assert refusal.value.param == "messages"


USES = "{{ messages[0].content }}"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% for %}", "not valid"),
        ("x" * (MAX_TEMPLATE_CHARACTERS + 1), "characters"),
        ("nothing of it", "leaves out"),
        ("{{ messages[0].content.nothing.more }}", "fails on a plain question"),
        (USES + "{% include '/etc/passwd' %}", "fails on a plain question"),
        (USES + "{% import 'os' as os %}", "fails on a plain question"),
        (
            USES + "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "fuel",
        ),
        (USES + "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "recursion"),
        (USES + "{{ 'x' * 1000000000 }}", "too large"),
        (USES * 200, "many times"),
        (USES + "{{ lipsum() }}", "fails on a plain question"),
    ],
)
def test_a_template_that_does_not_work_is_refused_when_the_bundle_is_opened(
    source: str, words: str
) -> None:
    with pytest.raises(ManifestInvalid, match=words):
        ChatTemplate(source, TOKENS)


@pytest.mark.parametrize(
    "expression",
    [
        "messages[0].__class__",
        "messages.__class__",
        "raise_exception.__globals__",
    ],
)
def test_python_is_out_of_a_templates_reach(expression: str) -> None:
    source = "{{ messages[0].content }}|{{ " + expression + " }}|"
    text = ChatTemplate(source, TOKENS).render(said(("user", "a")))
    assert text.replace("None", "") == "a||"


def test_a_template_that_needs_python_is_refused() -> None:
    with pytest.raises(ManifestInvalid, match="fails on a plain question"):
        ChatTemplate("{{ messages[0].content.__class__.__mro__ }}", TOKENS)


def test_a_template_sees_no_variable_that_shadows_its_tokens() -> None:
    text = ChatTemplate("{{ bos_token }}" + USES, TOKENS).render(
        said(("user", "a")), variables={"bos_token": "forged"}
    )
    assert text == "<s>a"


def test_hermes_shows_its_tools() -> None:
    assert '"name": "weather"' in ChatTemplate(HERMES, TOKENS).render(CALLED, TOOLS)
