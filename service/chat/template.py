"""A bundle's chat template, rendered by minijinja with what Hugging Face's templates expect.

The environment has no loader, so a template reaches no file and no other template; it sees the
conversation, its own bundle's control tokens and four helpers. Size of the template, depth of recursion and
number of instructions are bounded, and what the probe conversation becomes, when a bundle is opened, must
not be many times its size. Differences to transformers are tested to be none on templates of the usual
families (`tests/service/chat/test_template.py`).

Not promised: bounded memory for a template that was written to waste it and spares the probe. Templates come
from published bundles alone, never from a request.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from minijinja import Environment, TemplateError

from models.errors import InputError, ManifestInvalid

Message = dict[str, Any]
"""As templates read it: role, content, and for some roles name, tool_calls, tool_call_id."""

MAX_TEMPLATE_CHARACTERS = 128 << 10
# A usual template takes some hundred instructions a message and a few thousand for tools.
_FUEL = 100_000
_FUEL_PER_PART = 2_000
_MOST_TIMES_AS_LONG = 16
_ROOM_CHARACTERS = 64 << 10
_PROBE_CHARACTERS = 4_096
_NAME = "chat"

# transformers marks an assistant's turns with it for training; it changes nothing of the text.
_GENERATION = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")


class ConversationInvalid(InputError):
    """The template refuses the conversation, or cannot lay it out; `param` is OpenAI's member."""

    def __init__(self, message: str, param: str = "messages") -> None:
        super().__init__(message)
        self.param = param


class _Raised(Exception):
    """`raise_exception` of a template."""


class ChatTemplate:
    """One bundle's template. `tokens`: names → texts of control tokens (`bos_token`, `eos_token`)."""

    def __init__(
        self,
        source: str,
        tokens: Mapping[str, str],
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        """Raises ManifestInvalid for a template that does not lay out a short conversation."""
        if len(source) > MAX_TEMPLATE_CHARACTERS:
            raise ManifestInvalid(
                f"the chat template has {len(source):,} characters; at most "
                f"{MAX_TEMPLATE_CHARACTERS:,} are read"
            )
        self.source = source
        self._tokens = dict(tokens)
        self._lock = threading.Lock()  # the fuel is the environment's
        self._environment = Environment(
            filters={"tojson": _to_json},
            globals={
                "raise_exception": _raise_exception,
                "strftime_now": lambda form: now().strftime(str(form)[:64]),
            },
            trim_blocks=True,
            lstrip_blocks=True,
        )
        try:
            self._environment.add_template(_NAME, _GENERATION.sub(_plain_block, source))
        except TemplateError as error:
            raise ManifestInvalid(f"the chat template is not valid: {error.message}") from error
        self._probe()

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        add_generation_prompt: bool = True,
        variables: Mapping[str, object] | None = None,
    ) -> str:
        """The conversation as one text. Raises ConversationInvalid with the template's own words."""
        known = {"bos_token": "", "eos_token": "", **(variables or {}), **self._tokens}
        try:
            with self._lock:
                self._environment.fuel = _FUEL + _FUEL_PER_PART * (len(messages) + len(tools or ()))
                return self._environment.render_template(
                    _NAME,
                    **known,
                    messages=list(messages),
                    tools=None if tools is None else list(tools),
                    documents=None,
                    add_generation_prompt=add_generation_prompt,
                )
        except _Raised as refusal:
            raise ConversationInvalid(
                f"this model's chat template refuses the conversation: {str(refusal)[:500]}"
            ) from refusal
        except (TemplateError, TypeError, ValueError, RecursionError) as error:
            kind = error.kind if isinstance(error, TemplateError) else type(error).__name__
            raise ConversationInvalid(
                f"this model's chat template cannot lay out the conversation ({kind}); look at the "
                "order of roles and at messages without text"
            ) from error

    def _probe(self) -> None:
        """A template that cannot lay out one question, or swells it, is told when the bundle is opened."""
        question = {"role": "user", "content": "x" * _PROBE_CHARACTERS}
        conversation = [question, {"role": "assistant", "content": "y"}, question]
        try:
            text = self.render(conversation)
        except ConversationInvalid as error:
            detail = str(error.__cause__).splitlines()[0][:300]
            raise ManifestInvalid(
                f"the chat template fails on a plain question: {detail}"
            ) from error
        if question["content"] not in text:
            raise ManifestInvalid("the chat template leaves out what the user says")
        if len(text) > _MOST_TIMES_AS_LONG * 2 * _PROBE_CHARACTERS + _ROOM_CHARACTERS:
            raise ManifestInvalid("the chat template makes texts many times as long as they are")


def _plain_block(tag: re.Match[str]) -> str:
    return f"{{%{tag[1]} {'endif' if tag[2] else 'if true'} {tag[3]}%}}"


def _raise_exception(message: object) -> None:
    raise _Raised(str(message))


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As transformers' templates have it: nothing is escaped for HTML, and members keep their order."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
