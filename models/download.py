"""One file over HTTP(S), whose sha256 is known beforehand: resumed after interruptions, checked at the end.

Not promised: anything about a file whose checksum nobody knows. There is no such call.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from models.errors import FetchError, UsageError

_CHUNK_BYTES = 1 << 20
_QUIET_S = 30.0
_ATTEMPTS = 6
_FIRST_PAUSE_S = 1.0
# Trying again may help: too early, too many requests, and whatever is wrong with a server for a while.
_PASSING = {408, 425, 429, 500, 502, 503, 504}

Sleep = Callable[[float], None]


def download(
    url: str, sha256: str, target: Path, *, token: str = "", sleep: Sleep = time.sleep
) -> None:
    """Write what `url` holds into `target`. `token`: sent as bearer, to this host only.

    Raises FetchError: refused, unreachable after several attempts, or not the bytes that were asked for.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{_shown(url)}: only http:// and https:// addresses can be fetched")
    for attempt in range(_ATTEMPTS):
        try:
            _append(url, target, token)
            break
        except _Passing as error:
            if attempt == _ATTEMPTS - 1:
                raise FetchError(f"{_shown(url)}: {error} ({_ATTEMPTS} attempts)") from error
            sleep(_FIRST_PAUSE_S * 2**attempt)
    if (found := _digest(target)) != sha256:
        target.unlink()
        raise FetchError(f"{_shown(url)} has sha256 {found}, expected {sha256}: it is not used")


class _Passing(Exception):
    """What may be over at the next attempt."""


def _append(url: str, target: Path, token: str) -> None:
    """The part that is missing, or all of it from a server that gives no parts."""
    have = target.stat().st_size if target.exists() else 0
    request = urllib.request.Request(url)  # noqa: S310 (the scheme was looked at)
    if have:
        request.add_header("Range", f"bytes={have}-")
    if token:  # unredirected: another host that the address leads to must not learn it
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_QUIET_S) as answer:  # noqa: S310
            is_rest = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            _copy(answer, target, "ab" if is_rest else "wb")
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # it is all here; if it is too much, the checksum says so
        if error.code not in _PASSING:
            raise FetchError(f"{_shown(url)} answers {error.code} {error.reason}") from error
        raise _Passing(f"answers {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(str(error) or type(error).__name__) from error


def _copy(answer: http.client.HTTPResponse, target: Path, mode: Literal["ab", "wb"]) -> None:
    expected = answer.length
    with target.open(mode) as file:
        while chunk := answer.read(_CHUNK_BYTES):
            file.write(chunk)
            expected = None if expected is None else expected - len(chunk)
    if expected:
        raise _Passing(f"ended {expected} bytes early")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(url: str) -> str:
    """Without user, password and query: a presigned address is a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
