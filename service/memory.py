"""Freed memory goes back to the system: Python and the C library would keep most of it for later.

After a model was unloaded its process should be as small as if it had never been there.
"""

import ctypes
import gc
from functools import cache


def give_back() -> None:
    """Collect cycles, then return free pages. Takes some ten milliseconds; not for the hot path."""
    gc.collect()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._FuncPointer | None":
    """None where the C library has none (musl, macOS)."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
