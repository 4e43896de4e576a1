"""One thing at a time per model, in the order of asking; different models do not wait for each other.

The last command about a model therefore decides how it ends, however many come at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Forgets a name when nobody is left in its queue: names come from requests."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            async with lock:  # asyncio's lock is fair: first come, first served
                yield
        finally:
            lock, users = self._locks.pop(name)
            if users > 1:
                self._locks[name] = lock, users - 1

    def __len__(self) -> int:
        return len(self._locks)
