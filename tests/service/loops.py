"""Async tests without a plug-in: each runs in a loop of its own, bounded in time."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec

P = ParamSpec("P")

_LIMIT_S = 30.0


def in_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_LIMIT_S):
                await test(*args, **kwargs)

        asyncio.run(bounded())

    return run


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has happened; the test's own limit ends a vain wait."""
    while not condition():
        await asyncio.sleep(0.005)
