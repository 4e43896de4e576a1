"""Checks of values that came from outside: each raises BadRequest, which names the value and its bounds.

Used by request.py for every field that it parses, whichever side of the channel it stands on.
"""

from __future__ import annotations

from typing import cast

from service.errors import BadRequest

MAX_TOKEN_ID = 2**31 - 1


def require_int(name: str, value: object, low: int, high: int) -> None:
    # `type(…) is int`: True is an int to isinstance, and nobody means it as a count.
    if type(value) is not int or not low <= value <= high:
        raise BadRequest(f"{name} must be an integer from {low} to {high}")


def require_number(name: str, value: object, low: float, high: float) -> None:
    """A NaN fails too: it compares as false."""
    if type(value) not in (int, float) or not low <= cast(float, value) <= high:
        raise BadRequest(f"{name} must be a number from {low:g} to {high:g}")


def require_positive(name: str, value: object, high: float) -> None:
    if type(value) not in (int, float) or not 0 < cast(float, value) <= high:
        raise BadRequest(f"{name} must be a number above 0 and at most {high:g}")


def require_flag(name: str, value: object) -> None:
    if type(value) is not bool:
        raise BadRequest(f"{name} must be true or false")


def require_text(name: str, value: object, longest: int) -> None:
    """Half a surrogate pair is text to Python, but no message can carry it."""
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be text")
    if len(value) > longest:
        raise BadRequest(f"{name} has {len(value):,} characters; at most {longest:,} are taken")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise BadRequest(f"{name} is not valid Unicode text") from error


def require_ids(name: str, ids: object, shortest: int, longest: int) -> None:
    """A tuple of token ids. The loop is the built-ins': a prompt may have a million."""
    if not isinstance(ids, tuple) or not shortest <= len(ids) <= longest:
        raise BadRequest(f"{name} must hold {shortest} to {longest} token ids")
    if ids and (set(map(type, ids)) != {int} or min(ids) < 0 or max(ids) > MAX_TOKEN_ID):
        raise BadRequest(f"{name} must hold integers from 0 to {MAX_TOKEN_ID}")
