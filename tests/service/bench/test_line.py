"""Connections that behave badly end their exchange with a word, once."""

import asyncio

import pytest

from service.bench.answers import WholeReader
from service.bench.exchange import Exchange
from service.bench.line import Line


async def _exchange(answer: bytes) -> tuple[Exchange, int]:
    """What becomes of one request that is answered with these bytes and an end."""
    ended: list[Exchange] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    def on_end(_: Line, exchange: Exchange) -> None:
        ended.append(exchange)
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    loop, port = asyncio.get_running_loop(), server.sockets[0].getsockname()[1]
    _, line = await loop.create_connection(
        lambda: Line(lambda _: WholeReader(), on_end), "127.0.0.1", port
    )
    line.send(b"GET / HTTP/1.1\r\n\r\n", Exchange(0.0))
    await asyncio.wait_for(over.wait(), 10)
    line.close()
    server.close()
    await server.wait_closed()
    return ended[0], len(ended)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok", "connection lost"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok", "connection lost"),
        (b"", "connection lost"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "answer is not HTTP"),
        (b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n", "429"),
    ],
)
def test_every_exchange_ends_once(answer: bytes, error: str) -> None:
    exchange, times = asyncio.run(_exchange(answer))
    assert (exchange.error, times) == (error, 1)
    assert exchange.is_ended
    assert exchange.is_good is (error == "")


def test_a_line_that_was_never_connected_says_so() -> None:
    ended: list[Exchange] = []
    line = Line(lambda _: WholeReader(), lambda _, exchange: ended.append(exchange))
    line.send(b"", Exchange(0.0))
    assert [each.error for each in ended] == ["not connected"]
