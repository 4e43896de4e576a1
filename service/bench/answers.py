"""What comes back, read as it arrives: event streams of OpenAI's routes, and answers of one piece."""

from typing import Any, Protocol

import orjson

from service.bench.exchange import Exchange

_DATA = b"data:"
_DONE = b"[DONE]"
_LONGEST_CODE = 60


class Reader(Protocol):
    """One exchange's body, part by part."""

    def feed(self, part: bytes, now: float) -> None: ...

    def end(self) -> None:
        """The whole body has come: say in the exchange what it meant."""


class StreamReader:
    """Server-sent events of a completion or a chat. Every event with text is a moment in `token_s`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._rest = b""
        self._is_done = False

    def feed(self, part: bytes, now: float) -> None:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                self._event(line[len(_DATA) :].strip(), now)

    def end(self) -> None:
        if not self._is_done and not self._exchange.error:
            self._exchange.error = "stream cut off"

    def _event(self, data: bytes, now: float) -> None:
        if data == _DONE:
            self._is_done = True
            return
        try:
            event = orjson.loads(data)
            choices, usage, error = event.get("choices"), event.get("usage"), event.get("error")
        except (orjson.JSONDecodeError, AttributeError):
            self._exchange.error = "stream is not JSON"
            return
        if error is not None:
            self._exchange.error = f"stream {_code(error)}".strip()
        if usage:
            _count(usage, self._exchange)
        if choices and _has_text(choices[0]):
            self._exchange.token_s.append(now)


class WholeReader:
    """An answer of one piece, of which only the status counts."""

    def feed(self, part: bytes, now: float) -> None:
        """Nothing to learn from it."""

    def end(self) -> None:
        """Nor from its end."""


class ErrorReader:
    """The body of an answer that is no 200: the code in OpenAI's, V2's or nobody's error object."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._body = b""

    def feed(self, part: bytes, now: float) -> None:  # noqa: ARG002 - a Reader is told the time
        self._body += part

    def end(self) -> None:
        self._exchange.error = f"{self._exchange.status} {_code_of(self._body)}".strip()


def _code_of(body: bytes) -> str:
    try:
        return _code(orjson.loads(body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def _code(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or "error")[:_LONGEST_CODE]
    return ""  # V2's and the typed routes' errors are a text


def _has_text(choice: Any) -> bool:
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    return bool(delta and (delta.get("content") or delta.get("tool_calls")))


def _count(usage: dict[str, Any], exchange: Exchange) -> None:
    exchange.prompt_tokens = int(usage.get("prompt_tokens") or 0)
    exchange.output_tokens = int(usage.get("completion_tokens") or 0)
    details = usage.get("prompt_tokens_details") or {}
    exchange.cached_tokens = int(details.get("cached_tokens") or 0)
