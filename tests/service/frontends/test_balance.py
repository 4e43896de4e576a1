"""Whoever has the fewest connections accepts the next one; nobody leaves one waiting."""

import asyncio
import os
import socket

import pytest

from service.frontends.balance import Acceptor, Counts, HttpProtocol
from tests.service.loops import in_loop


class Connection(HttpProtocol, asyncio.Protocol):
    """Counts itself at its front end; tells who took it."""

    def __init__(self, front_end: "FrontEnd") -> None:
        self._front_end = front_end
        self.is_shut_down = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._front_end.connections.add(self)
        transport.write(b"%d" % self._front_end.index)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._front_end.connections.discard(self)

    def shutdown(self) -> None:
        self.is_shut_down = True
        self.transport.close()


class FrontEnd:
    def __init__(self, index: int, listener: socket.socket, counts: Counts) -> None:
        self.index = index
        self.connections: set[Connection] = set()
        self.acceptor = Acceptor(
            listener.dup(), counts, index, lambda: len(self.connections), lambda: Connection(self)
        )

    async def close(self) -> None:
        self.acceptor.close()
        await self.acceptor.wait_closed()
        for connection in self.connections:
            connection.transport.close()


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


async def taken_by(listener: socket.socket) -> tuple[int, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    return int(await reader.read(10)), writer


@pytest.mark.parametrize("size", [2, 3])
def test_connections_are_spread_evenly(size: int) -> None:
    @in_loop
    async def check() -> None:
        with listening() as listener:
            counts = Counts.create(size)
            ends = [FrontEnd(index, listener, counts) for index in range(size)]
            made = await asyncio.gather(*(taken_by(listener) for _ in range(10 * size)))
            shares = [len(end.connections) for end in ends]
            assert sum(shares) == 10 * size
            assert max(shares) - min(shares) <= 1
            for _, writer in made:
                writer.close()
            for end in ends:
                await end.close()
            counts.close()

    check()


@in_loop
async def test_when_the_idle_one_is_stuck_another_accepts_all_the_same() -> None:
    with listening() as listener:
        counts = Counts.create(2)
        counts.set(1, 0)  # has none, and never looks
        only = FrontEnd(0, listener, counts)
        made = await asyncio.gather(*(taken_by(listener) for _ in range(5)))
        assert [index for index, _ in made] == [0] * 5
        for _, writer in made:
            writer.close()
        await only.close()
        counts.close()


@in_loop
async def test_what_had_reached_the_socket_is_taken_before_the_end() -> None:
    with listening() as listener:
        counts = Counts.create(1)
        only = FrontEnd(0, listener, counts)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(3)]
        only.acceptor.close()
        await only.acceptor.wait_closed()
        loop = asyncio.get_running_loop()
        for client in clients:
            client.setblocking(False)
            assert await loop.sock_recv(client, 10) == b"0"
            assert await loop.sock_recv(client, 10) == b""  # shut down in peace, not reset
            client.close()
        counts.close()


def test_the_absent_do_not_count() -> None:
    counts = Counts.create(3)
    other = Counts(os.dup(counts.descriptor), 3)
    counts.set(0, 7)
    other.set(1, 4)
    assert (counts.others(0), counts.others(1)) == (4, 7)
    counts.leave(1)
    assert other.others(0) > 1_000_000
    counts.close()
    other.close()
