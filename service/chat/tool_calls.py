"""The model's text → content for people and calls of functions, as it comes.

    hermes   text <tool_call>{"name": "f", "arguments": {…}}</tool_call> text …
    llama    the whole answer is {"name": "f", "parameters": {…}}, several separated by ";"
    forced   a JSON-schema constraint made the whole answer {"name": "f", "arguments": {…}}
    none     all text is content

A parser gives out content as soon as it cannot be part of a call, and a call when it is whole: no piece of a
call is ever content, and none is sent that does not parse. A call that the end of the answer cuts off is
dropped (the finish reason says `length`); what stands between the tags and is no call is content as it was
written. Formats: NousResearch's Hermes function calling, Meta's Llama 3.1 prompt format for JSON calls.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

ToolCallFormat = Literal["none", "hermes", "llama", "forced"]

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_NAMED = re.compile(r'"name"\s*:\s*"([^"\\]*)"')


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


@dataclass(frozen=True)
class ToolCall:
    """`arguments`: a JSON object, as text."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Parsed:
    """What one piece of text has made certain: content, then calls."""

    content: str = ""
    calls: tuple[ToolCall, ...] = ()


class ToolCallParser(ABC):
    """One answer's. Content that follows a call keeps its order among content alone."""

    @abstractmethod
    def feed(self, text: str) -> Parsed: ...

    @abstractmethod
    def finish(self) -> Parsed:
        """Once, when no text will come."""


def parser_of(form: ToolCallFormat, names: Collection[str]) -> ToolCallParser:
    """`names`: of the functions that were offered."""
    if form == "hermes":
        return _Tagged()
    if form in ("llama", "forced"):
        return _Whole(frozenset(names))
    return _Plain()


class _Plain(ToolCallParser):
    def feed(self, text: str) -> Parsed:
        return Parsed(text)

    def finish(self) -> Parsed:
        return Parsed()


class _Tagged(ToolCallParser):
    """Hermes: holds back what may be the beginning of a tag, and everything from a tag to its end."""

    def __init__(self) -> None:
        self._held = ""
        self._is_after_call = False

    def feed(self, text: str) -> Parsed:
        self._held += text
        content, calls = "", []
        while (start := self._held.find(_OPEN)) >= 0:
            end = self._held.find(_CLOSE, start)
            if end < 0:
                content += self._take(start)
                break
            body = self._held[start + len(_OPEN) : end]
            call = _call(_document(body))
            if call is None:
                content += self._take(end + len(_CLOSE))
            else:
                content += self._take(start)
                self._held = self._held[end - start + len(_CLOSE) :]
                self._is_after_call = True
                calls.append(call)
        else:
            content += self._take(len(self._held) - _overlap(self._held, _OPEN))
        return Parsed(content, tuple(calls))

    def finish(self) -> Parsed:
        return Parsed("" if self._held.startswith(_OPEN) else self._take(len(self._held)))

    def _take(self, length: int) -> str:
        """Content. Blanks that the format puts behind a call are nobody's."""
        taken, self._held = self._held[:length], self._held[length:]
        if self._is_after_call:
            taken = taken.lstrip()
            self._is_after_call = not taken
        return taken


class _Whole(ToolCallParser):
    """JSON from the first character on, or content. Only offered functions are calls: other models answer in
    JSON because they were asked to."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._held = ""
        self._is_content = False

    def feed(self, text: str) -> Parsed:
        if self._is_content:
            return Parsed(text)
        self._held += text
        start = self._held.lstrip()
        if not start or start.startswith("{"):
            return Parsed()
        self._is_content = True
        held, self._held = self._held, ""
        return Parsed(held)

    def finish(self) -> Parsed:
        held, self._held = self._held, ""
        if not held.strip():
            return Parsed(held)
        calls, is_whole = _sequence(held)
        if calls and all(call.name in self._names for call in calls):
            return Parsed("", calls)
        return Parsed(held if is_whole or not self._may_be_call(held) else "")

    def _may_be_call(self, held: str) -> bool:
        """Cut off, and by its beginning one of the offered functions' calls."""
        named = _NAMED.search(held)
        return named is not None and named[1] in self._names


def _sequence(text: str) -> tuple[tuple[ToolCall, ...], bool]:
    """The calls that a text consists of, as far as they are whole, and whether nothing else is there."""
    calls: list[ToolCall] = []
    rest = text.strip()
    while rest:
        try:
            document, end = _DECODER.raw_decode(rest)
        except (ValueError, RecursionError):
            return tuple(calls), False
        call = _call(document)
        if call is None:
            return (), True
        calls.append(call)
        rest = rest[end:].strip().removeprefix(";").lstrip()
    return tuple(calls), True


def _document(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _call(document: Any) -> ToolCall | None:
    """A call if the document is one: a name, and arguments that are an object (or one as text)."""
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        return None
    arguments = document.get("arguments", document.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _document(arguments)
    if not isinstance(arguments, dict):
        return None
    return ToolCall(document["name"], json.dumps(arguments, ensure_ascii=False))


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of `text` that `tag` begins with."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-length:]):
            return length
    return 0
