"""Control messages between the front end and a worker: fixed binary structs over SOCK_SEQPACKET.

A packet is a header and a body. Operations with bulk in the arena carry tensor records; loading, failures
and generation carry JSON, cut into several packets when it is long. Packets arrive whole and in order;
end of file means that the other side is gone, whichever way it died. Descriptors travel in a packet of
their own, right behind the message that announces them: reading every packet as one that might carry some
would cost each batch a microsecond.
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_HEADER = struct.Struct("<BBHIQ")  # operation, more follows, slot, model handle, request id
PACKET_BYTES = 48 << 10  # far below the kernel's default send buffer, which bounds a packet
_MOST_DESCRIPTORS = 32


INFER_SECONDS = struct.Struct("<d")
"""Begins the body of a RESULT; tensor records follow."""


class Op(IntEnum):
    """Front end → worker below 16, worker → front end from 16."""

    LOAD = 1
    UNLOAD = 2
    RUN = 3
    GENERATE = 4
    CANCEL = 5
    ATTACH = 6
    EXAMINE = 7
    WIDEN = 8
    RUN_ALONE = 9
    COMPARE = 10
    DONE = 17
    RESULT = 18
    FAILED = 19
    EVENTS = 20
    STATS = 21


class Message(NamedTuple):
    """`slot` of an ATTACH and of nothing else is the number of the new connection."""

    op: int
    slot: int
    model: int
    ident: int
    body: memoryview


class Partial:
    """A packet that does not complete a message."""


PARTIAL = Partial()


def packet(op: int, slot: int, model: int, ident: int, body: bytes) -> bytes:
    """A message that fits one packet."""
    return _HEADER.pack(op, 0, slot, model, ident) + body


def packets(op: int, slot: int, model: int, ident: int, body: bytes = b"") -> Iterator[bytes]:
    """The message as one or more packets."""
    for start in range(0, max(len(body), 1), PACKET_BYTES):
        part = body[start : start + PACKET_BYTES]
        more = start + PACKET_BYTES < len(body)
        yield _HEADER.pack(op, more, slot, model, ident) + part


class Channel:
    """One end. `send` may be called from several threads, `receive` from one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray(PACKET_BYTES + _HEADER.size)
        self._view = memoryview(self._buffer)
        self._parts: dict[tuple[int, int], bytes] = {}
        self._sending = threading.Lock()

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def send(
        self, op: int, slot: int = 0, model: int = 0, ident: int = 0, body: bytes = b""
    ) -> None:
        """Send, waiting while the other side does not read. For blocking sockets."""
        with self._sending:
            for packet in packets(op, slot, model, ident, body):
                self.sock.send(packet)

    def receive(self) -> Message | None:
        """The next whole message; its body is valid until the next call. None at end of file.

        On a non-blocking socket raises BlockingIOError when nothing is there.
        """
        while isinstance(message := self.receive_part(), Partial):
            pass
        return message

    def receive_part(self) -> Message | Partial | None:
        """As `receive`, but takes one packet only: for whoever has others to listen to meanwhile."""
        try:
            size = self.sock.recv_into(self._buffer)
        except ConnectionError:
            return None
        if size == 0:
            return None
        op, more, slot, model, ident = _HEADER.unpack_from(self._buffer)
        body = self._view[_HEADER.size : size]
        if not more and not self._parts:
            return Message(op, slot, model, ident, body)
        # Parts of one message may interleave with those of another, so they are kept per request.
        part_key = (op, ident)
        if more:
            self._parts[part_key] = self._parts.get(part_key, b"") + bytes(body)
            return PARTIAL
        if part_key in self._parts:
            body = memoryview(self._parts.pop(part_key) + bytes(body))
        return Message(op, slot, model, ident, body)

    def receive_descriptors(self) -> list[int]:
        """The descriptors of the packet that is next. They belong to the caller."""
        _, descriptors, _, _ = socket.recv_fds(self.sock, _HEADER.size, _MOST_DESCRIPTORS)
        return descriptors

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.close()
