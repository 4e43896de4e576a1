"""Freed memory goes back to the system: Python and the C library would keep most of it for later.

After a model was unloaded its process should be as small as if it had never been there.
"""

import ctypes
import gc
from functools import cache

_M_ARENA_MAX = -8  # malloc.h


def use_one_arena() -> None:
    """For the start of a process, before it has threads. glibc gives threads heaps of their own, and of
    those `malloc_trim` leaves the top: some 10 MB a process after models of 4 MB came and went."""
    mallopt = _of_c_library("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Collect cycles, then return free pages. Takes some ten milliseconds; not for the hot path."""
    gc.collect()
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


@cache
def _of_c_library(name: str) -> "ctypes._FuncPointer | None":
    """None where the C library has none (musl, macOS)."""
    try:
        found: ctypes._FuncPointer = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
    return found
