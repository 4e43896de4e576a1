"""How conversations are laid out as one text: the template that chat models are trained and served with.

ChatML-like: every message between control tokens, its role on the first line. Tools, where a caller offers
any, stand as signatures at the top; calls are written in Hermes' form. The bundle carries the template, and
the service renders the very same text (`tests/training/test_chat_template.py`).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from minijinja import Environment

from training.data.byte_tokenizer import END_OF_TEXT

MESSAGE_START, MESSAGE_END = "<|im_start|>", "<|im_end|>"
CONTROL_TOKENS = (MESSAGE_START, MESSAGE_END)

CHAT_TEMPLATE = r"""{{- bos_token }}
{%- set has_system = messages and messages[0].role == 'system' %}
{%- if tools or has_system %}
    {{- '<|im_start|>system\n' }}
    {%- if has_system %}
        {{- messages[0].content }}
    {%- endif %}
    {%- if tools %}
        {{- ('\n' if has_system else '') + 'Tools:' }}
        {%- for tool in tools %}
            {%- set parameters = (tool.function.parameters or {}).properties or {} %}
            {{- ' ' + tool.function.name + '(' + (parameters | list | join(', ')) + ')' }}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if not (loop.first and has_system) %}
        {{- '<|im_start|>' + message.role + '\n' + (message.content or '') }}
        {%- for call in message.tool_calls or [] %}
            {{- '<tool_call>{"name": ' + (call.function.name | tojson) + ', "arguments": ' }}
            {{- (call.function.arguments | tojson) + '}</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


_ENVIRONMENT = Environment(
    templates={"chat": CHAT_TEMPLATE},
    filters={"tojson": _to_json},
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    add_generation_prompt: bool = False,
) -> str:
    """The conversation as one text, control tokens included."""
    return _ENVIRONMENT.render_template(
        "chat",
        messages=list(messages),
        tools=None if tools is None else list(tools),
        add_generation_prompt=add_generation_prompt,
        bos_token=END_OF_TEXT,
    )
