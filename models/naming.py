"""The one law for model names and version numbers: folders, URLs, metric labels and code agree.

The grammar is narrow on purpose: a name that passes can be put into a path, a URL or a Prometheus
label without quoting, and nothing that passes can climb out of a folder.
"""

import re

from models.errors import UsageError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
VERSION_PATTERN = r"^[1-9][0-9]{0,8}$"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_name(text: str) -> bool:
    """True when `text` may name a model. `$` would allow a trailing newline, hence fullmatch."""
    return _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """True when `text` is a version folder: a positive decimal without leading zeros."""
    return _VERSION.fullmatch(text) is not None


def require_name(text: str) -> str:
    """Return `text`, or raise UsageError with the grammar in words."""
    if not is_name(text):
        raise UsageError(
            f"model name {text!r} is not allowed: use 1–64 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    return text
