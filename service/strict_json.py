"""What a JSON parser lets pass and this server does not: nesting beyond reason, and one key twice.

Cheap on purpose: both look at the bytes with C loops, and at nothing but counts where those settle it.
"""

import re

import numpy as np
import orjson

from service.errors import BadJson

MOST_LEVELS = 64

# Possessive and content with a missing end, so that no input is looked at twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_CONTAINERS = frozenset({dict, list})


def loads(body: bytes) -> object:
    """Raises BadJson naming the position; also for depth, repeated keys, NaN and infinities."""
    check_depth(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadJson(f"the body is not valid JSON: {error}") from error
    check_keys(body, document)
    return document


def check_depth(body: bytes) -> None:
    """Raises BadJson for more than 64 levels. What is not JSON at all is left to the parser."""
    if body.count(b"[") + body.count(b"{") <= MOST_LEVELS:
        return
    brackets = np.frombuffer(_STRING.sub(b"", body).translate(None, _NOT_BRACKETS), np.uint8)
    steps = np.where((brackets == ord("[")) | (brackets == ord("{")), 1, -1)
    if len(steps) and int(np.cumsum(steps).max()) > MOST_LEVELS:
        raise BadJson(f"the JSON is nested more than {MOST_LEVELS} levels deep")


def check_keys(body: bytes, document: object) -> None:
    """Raises BadJson when an object has a key twice: each colon outside a string is one member, and
    the parser keeps one of two that have the same name."""
    members = _members(document)
    if body.count(b":") != members and _STRING.sub(b"", body).count(b":") != members:
        raise BadJson("an object in the JSON has the same key twice")


def _members(document: object) -> int:
    total, level = 0, [document]
    while level:
        deeper: list[object] = []
        for value in level:
            if isinstance(value, dict):
                total += len(value)
                deeper += value.values()
            elif isinstance(value, list) and not _CONTAINERS.isdisjoint(map(type, value)):
                deeper += value  # lists of numbers, the bulk of what comes here, are passed over
        level = deeper
    return total
