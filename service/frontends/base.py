"""What a server asks of its front ends, and the usual case: this process is the only one."""

import socket
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp


class FrontEnds(Protocol):
    """`serve` runs this process's server; the others are started, told and ended."""

    def wrap(self, app: "ASGIApp") -> "ASGIApp":
        """A layer around the application."""

    async def serve(self, server: "uvicorn.Server") -> None: ...

    async def up(self) -> None:
        """Wait until all accept connections and know every model."""

    def drain(self) -> None:
        """The server is ending: not ready any more, and soon no new connections."""

    async def end(self) -> None:
        """Wait until the others have finished what they accepted, and have ended."""


class Alone:
    """Nothing to share."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def wrap(self, app: "ASGIApp") -> "ASGIApp":
        return app

    async def serve(self, server: "uvicorn.Server") -> None:
        await server.serve(sockets=[self._listener])

    async def up(self) -> None:
        """It is."""

    def drain(self) -> None:
        """The server itself does."""

    async def end(self) -> None:
        """There is nobody to wait for."""
