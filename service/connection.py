"""Stop working for callers that have left.

Starlette runs a handler to its end whether or not anyone is listening; `while_connected` ties the work
to the connection. A caller that shuts only its sending half counts as gone.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from service.errors import Cancelled

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; it is cancelled when the caller leaves, and Cancelled is raised.

    The request's body must have been read: what arrives from now on can only be the end.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(until_gone(request.receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("the caller left before the answer")
    finally:
        watcher.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))  # its clean-up frees a place in a queue or an engine


async def until_gone(receive: Receive) -> None:
    """Returns when the caller has left; what it sends until then is thrown away."""
    while (await receive())["type"] != "http.disconnect":
        pass
