"""What a person typed after the model's name → an instance's raw form, as the task's kind wants it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from models.errors import UsageError
from service.tasks.base import ServiceTask

STDIN = "-"


@dataclass(frozen=True)
class Question:
    """Either `data` (a picture's or a text's bytes, for `read_bytes`) or `value` (for `read_json`)."""

    options: Mapping[str, object] = field(default_factory=dict)
    data: bytes | None = None
    value: object = None
    asked: str = ""
    """How to show what was asked: the text, or the file's name."""


def read_question(typed: str, task: type[ServiceTask], options: Mapping[str, object]) -> Question:
    """`typed` is a file's path, `-` for standard input, or (where the task reads text) the text itself.

    Raises UsageError naming what is missing.
    """
    is_picture = any(kind.startswith("image/") for kind in task.media_types)
    if typed == STDIN:
        data, asked = sys.stdin.buffer.read(), "standard input"
    elif os.path.isfile(typed):  # unlike Path, false for what cannot be a path at all
        data, asked = _read(Path(typed)), typed
    elif is_picture:
        what = "is a folder" if os.path.isdir(typed) else "does not exist"
        raise UsageError(
            f"{typed[:200]} {what}: name a picture (PNG, JPEG or WEBP), or - for stdin"
        )
    else:
        data, asked = _encode(typed), typed
    if is_picture:
        return Question(options, data=data, asked=asked)
    if "text/plain" in task.media_types:
        # Editors and `echo` end a text with a newline that nobody means; in a prompt it may be meant.
        data = data if task.field == "prompt" else data.removesuffix(b"\n")
        return Question(options, data=data, asked=data.decode("utf-8", "replace"))
    try:
        return Question(options, value=orjson.loads(data), asked=asked)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{asked[:80]}: {task.name} models take JSON numbers: {error}") from error


def read_options(given: Mapping[str, object], pairs: list[str]) -> dict[str, object]:
    """The flags that were given and `--option name=value`. Raises UsageError for a pair without `=`."""
    options = {name: value for name, value in given.items() if value is not None}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair!r}: write name=value")
        options[name.replace("-", "_")] = value
    return options


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _encode(typed: str) -> bytes:
    try:
        return typed.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the text is not UTF-8") from error
