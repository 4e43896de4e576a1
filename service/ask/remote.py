"""Ask a running server over HTTP, through the typed endpoint that everybody else uses."""

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, ClassVar

import orjson

from models.errors import SlipwayError, UsageError
from service.ask.question import Question
from service.ask.reply import Reply
from service.tasks import plugin
from service.tasks.base import ServiceTask

_TIMEOUT_S = 120.0
_LONGEST_TEXT = 500


class RemoteRefused(SlipwayError):
    """The server cannot be reached, or said no; its own words are passed on."""

    reason: ClassVar[str] = "remote"


def ask_remote(
    url: str, name: str, version: int | None, read: Callable[[type[ServiceTask]], Question]
) -> Reply:
    """`read` gets the kind of task and gives the question. Raises UsageError or RemoteRefused."""
    base = _base(url)
    described, _ = _request(f"{base}/v1/models/{urllib.parse.quote(name, safe='')}")
    task = plugin(str(described.get("task")))
    question = read(task)
    path = f"/v1/models/{urllib.parse.quote(name, safe='')}"
    path += f"/versions/{version}" if version is not None else ""
    body, took_ms = _request(f"{base}{path}/predict{_query(question)}", *_body(question, task))
    return Reply(task.name, body, took_ms)


def _base(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"--url {url!r} is not a server's address; write http://HOST:PORT")
    return url.rstrip("/")


def _query(question: Question) -> str:
    if question.data is None or not question.options:
        return ""
    return "?" + urllib.parse.urlencode(dict(question.options), doseq=True)


def _body(question: Question, task: type[ServiceTask]) -> tuple[bytes, str]:
    if question.data is None:
        return orjson.dumps({task.field: question.value, **question.options}), "application/json"
    is_text = "text/plain" in task.media_types
    return question.data, "text/plain" if is_text else "application/octet-stream"


def _request(
    url: str, data: bytes | None = None, content_type: str = ""
) -> tuple[dict[str, Any], float]:
    """(decoded answer, milliseconds). Raises RemoteRefused."""
    headers = {"content-type": content_type} if content_type else {}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - `_base` admits http(s) only
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            answer = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise RemoteRefused(_said(error)) from error
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise RemoteRefused(f"{_base(url)} cannot be reached: {why}") from error
    took_ms = (time.perf_counter() - began) * 1e3
    try:
        decoded = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        raise RemoteRefused(f"{url} does not answer JSON; is it a Slipway server?") from error
    if not isinstance(decoded, dict):
        raise RemoteRefused(f"{url} does not answer an object; is it a Slipway server?")
    return decoded, took_ms


def _said(error: urllib.error.HTTPError) -> str:
    """The server's message, from its own error body or OpenAI's."""
    try:
        told = orjson.loads(error.read())["error"]
        text = told["message"] if isinstance(told, dict) else told
    except (orjson.JSONDecodeError, KeyError, TypeError, OSError):
        text = error.reason
    return f"the server answered {error.code}: {str(text)[:_LONGEST_TEXT]}"
