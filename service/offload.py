"""Threads for the work that would stall the event loop: decoding pictures, tokenizing, encoding PNGs.

As many threads as usable cores: that work is pure computation in native code that releases the
interpreter's lock, so more threads would only take turns.
"""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from models.cgroup import usable_cores

P = ParamSpec("P")
T = TypeVar("T")

# Threads start at the first use, not at import.
_EXECUTOR = ThreadPoolExecutor(
    max(2, math.ceil(usable_cores())), thread_name_prefix="slipway-prepare"
)


async def offload(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `function` in a thread. Cancelling the wait does not stop a thread that has begun."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_EXECUTOR, lambda: function(*args, **kwargs))
