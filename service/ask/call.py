"""One call to a running server, for commands: JSON back, or the server's own words as an error."""

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from models.errors import SlipwayError, UsageError

_TIMEOUT_S = 120.0
_LONGEST_TEXT = 500


class RemoteRefused(SlipwayError):
    """The server cannot be reached, or said no; its own words are passed on."""

    reason: ClassVar[str] = "remote"


def base_of(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UsageError(f"{url!r} is not a server's address; write http://HOST:PORT")
    return url.rstrip("/")


def call(
    url: str,
    data: bytes | None = None,
    content_type: str = "",
    headers: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], float]:
    """(decoded answer, milliseconds). Raises RemoteRefused."""
    sent = {**(headers or {}), **({"content-type": content_type} if content_type else {})}
    request = urllib.request.Request(url, data, sent)  # noqa: S310 - `base_of` admits http(s) only
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            answer = response.read()
    except urllib.error.HTTPError as error:
        with error:
            raise RemoteRefused(_said(error)) from error
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise RemoteRefused(f"{_server(url)} cannot be reached: {why}") from error
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


def _server(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
