"""Who accepts the next connection: of the front ends that share the listening socket, the one with fewest.

One socket for all, rather than one each (SO_REUSEPORT): the kernel spreads connections over several sockets
by a hash of their addresses, so of 16 connections one front end may get 12, and what waits at a socket
whose process has died is lost or waits for its successor. With one socket whoever is alive accepts, and
the counts of all, in shared memory, keep the spread even. Every front end wakes for every connection,
which is cheap for connections that stay.
"""

import asyncio
import contextlib
import mmap
import os
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

_COUNT = struct.Struct("<I")
_ABSENT = 0xFFFF_FFFF
_POLITE_S = 0.002
_EXHAUSTED_S = 0.5
_START_S = 0.01


class HttpProtocol(asyncio.BaseProtocol):
    """What the server's connections can do."""

    def shutdown(self) -> None:
        """Finish what is under way, then close."""


class Counts:
    """Open connections per front end, written by each for itself, read by all."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self._size = size
        self._map = mmap.mmap(descriptor, max(size, 1) * _COUNT.size)

    @classmethod
    def create(cls, size: int) -> "Counts":
        """All absent."""
        descriptor = os.memfd_create("slipway-frontends", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, size * _COUNT.size)
        counts = cls(descriptor, size)
        for index in range(size):
            counts.leave(index)
        return counts

    def set(self, index: int, count: int) -> None:
        _COUNT.pack_into(self._map, index * _COUNT.size, count)

    def leave(self, index: int) -> None:
        """This one accepts nothing (any more)."""
        self.set(index, _ABSENT)

    def others(self, index: int) -> int:
        """The fewest that another front end has; very many without another."""
        values = (_COUNT.unpack_from(self._map, at * _COUNT.size)[0] for at in range(self._size))
        return min((value for at, value in enumerate(values) if at != index), default=_ABSENT)

    def close(self) -> None:
        os.close(self.descriptor)


class Acceptor:
    """Accepts from `listener` for one front end, one connection a turn. In uvicorn's list of servers it
    stands for a server: it is closed when the service ends.

    `connected` is how many connections are open here; `new_protocol` makes one's protocol.
    """

    def __init__(
        self,
        listener: socket.socket,
        counts: Counts,
        index: int,
        connected: Callable[[], int],
        new_protocol: Callable[[], HttpProtocol],
    ) -> None:
        self._listener = listener
        self._counts = counts
        self._index = index
        self._connected = connected
        self._new_protocol = new_protocol
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_closed = False
        counts.set(index, connected())
        self._listen()

    def close(self) -> None:
        """Take what has already reached the socket, then nothing more. Once every front end has closed
        its copy of the socket, further connections are refused."""
        if self._is_closed:
            return
        self._is_closed = True
        self._counts.leave(self._index)
        self._loop.remove_reader(self._listener.fileno())
        if self._pause is not None:
            self._pause.cancel()
        while self._accept():
            pass
        self._listener.close()

    async def wait_closed(self) -> None:
        if self._arriving:
            await asyncio.wait(self._arriving)

    def _listen(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._on_connection)

    def _on_connection(self) -> None:
        mine = self._publish()
        if mine > self._counts.others(self._index):
            # Level-triggered: it would call again at once. Whoever has fewer wakes as well and takes it,
            # unless it is busy; then this one does, two milliseconds later.
            self._wait(_POLITE_S)
        else:
            self._accept()

    def _wait(self, delay_s: float) -> None:
        if self._pause is None and not self._is_closed:
            self._loop.remove_reader(self._listener.fileno())
            self._pause = self._loop.call_later(delay_s, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._listen()
        self._accept()

    def _publish(self) -> int:
        mine = self._connected() + len(self._arriving)
        self._counts.set(self._index, mine)
        return mine

    def _accept(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError:  # no descriptors left: it waits in the socket until there are
            self._wait(_EXHAUSTED_S)
            return False
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task: asyncio.Task[object] = self._loop.create_task(self._connect(connection))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)
        if not self._is_closed:
            self._publish()
        return True

    async def _connect(self, connection: socket.socket) -> None:
        try:
            _, protocol = await self._loop.connect_accepted_socket(self._new_protocol, connection)
        except OSError:  # the client has left again
            connection.close()
        else:
            if self._is_closed:  # it came with the last: one answer, if it asks at all
                protocol.shutdown()


async def serve_shared(
    server: "uvicorn.Server",
    listener: socket.socket,
    counts: Counts,
    index: int,
    on_started: Callable[[], None] = lambda: None,
) -> None:
    """As `server.serve`, but takes turns with the other front ends in accepting."""
    serving = asyncio.create_task(server.serve(sockets=[]))
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(_START_S)
        state, config = server.server_state, server.config

        def new_protocol() -> HttpProtocol:
            made: HttpProtocol = config.http_protocol_class(  # type: ignore[call-arg, assignment]
                config=config, server_state=state, app_state=server.lifespan.state
            )
            return made

        acceptor = Acceptor(listener, counts, index, lambda: len(state.connections), new_protocol)
        server.servers.append(acceptor)  # type: ignore[arg-type]  # it closes them at the end
        on_started()
        await serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
