"""One keep-alive HTTP/1.1 connection of the load generators: bytes out, status and headers in.

As little as possible, because it shares the cores with the server: no tasks, no header parsing beyond what
is asked for, one callback per answer. Knows answers with a Content-Length only, which is what servers of
tensors send.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_RETRY = b"\r\nretry-after:"


@dataclass(frozen=True)
class Answer:
    """`retry_after_s`: None without the header. Status 0: the connection broke."""

    status: int
    retry_after_s: float | None = None


OnAnswer = Callable[["Line", Answer], None]


class Line(asyncio.Protocol):
    """At most one request at a time; `on_answer` may send the next."""

    def __init__(self, on_answer: OnAnswer) -> None:
        self._on_answer = on_answer
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._expected = 0  # bytes of head and body; 0: the head is not complete
        self._head = b""
        self._is_waiting = False

    def send(self, request: bytes) -> None:
        if self._transport is None:
            self._on_answer(self, Answer(0))
            return
        self._is_waiting = True
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._expected and not self._read_head():
            return
        if len(self._received) < self._expected:
            return
        head = self._head
        self._received.clear()
        self._expected, self._is_waiting = 0, False
        retry = header_of(head, _RETRY)
        answer = Answer(int(head[9:12]), float(retry) if retry is not None else None)
        self._on_answer(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self._is_waiting:
            self._is_waiting = False
            self._on_answer(self, Answer(0))

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def _read_head(self) -> bool:
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return False
        self._head = bytes(self._received[: end + 2]).lower()
        length = header_of(self._head, _LENGTH)
        self._expected = end + 4 + int(length or b"0")
        return True


def header_of(head: bytes, name: bytes) -> bytes | None:
    """The value behind `name`, which begins with a line break and ends with a colon, in lower case."""
    start = head.find(name)
    if start < 0:
        return None
    start += len(name)
    return head[start : head.find(b"\r\n", start)].strip()
