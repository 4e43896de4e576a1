"""Answers are recognised however the network cuts them."""

import asyncio

import pytest

from benchmarks.harness.line import Answer, Line

ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 2\r\n"
    b"Content-Length: 11\r\n\r\n" + b'{"error":1}'
)


class Pipe(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:  # type: ignore[override]
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize("step", [1, 7, 40, len(ANSWER)])
def test_an_answer_in_pieces_is_one_answer(step: int) -> None:
    found: list[Answer] = []
    line = Line(lambda _, answer: found.append(answer))
    line.connection_made(Pipe())
    for _ in range(2):  # the second over the same connection
        line.send(b"request")
        for place in range(0, len(ANSWER), step):
            line.data_received(ANSWER[place : place + step])
    assert found == [Answer(503, retry_after_s=2.0)] * 2


def test_a_connection_that_breaks_is_an_answer_of_its_own() -> None:
    found: list[Answer] = []
    line = Line(lambda _, answer: found.append(answer))
    line.connection_made(Pipe())
    line.send(b"request")
    line.connection_lost(None)
    line.send(b"request")
    assert found == [Answer(0), Answer(0)]
    assert not line.is_open
