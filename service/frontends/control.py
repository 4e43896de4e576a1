"""JSON messages between the primary and one secondary, with descriptors where a message needs them.

Over SOCK_SEQPACKET: packets arrive whole and in order, and end of file means that the other side has gone.
Long messages are cut into packets; descriptors travel with the first. Either side may ask: a question
carries `id`, its answer `re`.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import orjson

from service.errors import Unavailable

Message = dict[str, Any]

_PACKET_BYTES = 48 << 10  # far below the kernel's default send buffer, which bounds a packet
_MOST_DESCRIPTORS = 32
_MORE, _LAST = b"+", b"."


class PeerGone(Unavailable):
    """The other process has ended, or does not answer."""

    reason = "worker_lost"


class Control:
    """Belongs to the event loop. `on_message` gets what was neither asked for nor an answer;
    `on_question` returns the answer's members; `on_end` is called once."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_message: Callable[[Message, list[int]], None],
        on_question: Callable[[Message], Awaitable[Message]],
        on_end: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_message, self._on_question, self._on_end = on_message, on_question, on_end
        self._outbox: deque[tuple[bytes, list[int]]] = deque()
        self._parts: list[bytes] = []
        self._descriptors: list[int] = []
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._idents = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self.is_open = True
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def send(self, kind: str, descriptors: Sequence[int] = (), **members: object) -> None:
        """Now, or as soon as the other side reads. Descriptors are copied; a gone peer is `on_end`'s."""
        self._post({"kind": kind, **members}, descriptors)

    async def ask(self, kind: str, *, limit_s: float, **members: object) -> Message:
        """Raises PeerGone when no answer comes within `limit_s`."""
        if not self.is_open:
            raise PeerGone("another process of the server has ended; try again")
        ident = next(self._idents)
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._asked[ident] = answer
        try:
            self._post({"kind": kind, "id": ident, **members}, ())
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            raise PeerGone("another process of the server does not answer; try again") from None
        finally:
            del self._asked[ident]

    def close(self) -> None:
        """May be called twice; `on_end` is not called any more."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, descriptors in self._outbox:
            _close_all(descriptors)
        self._outbox.clear()
        _close_all(self._descriptors)
        for task in self._tasks:
            task.cancel()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(PeerGone("another process of the server has ended"))

    # -- sending ----------------------------------------------------------------------------------

    def _post(self, message: Message, descriptors: Sequence[int]) -> None:
        if not self.is_open:
            return
        data = orjson.dumps(message)
        kept = [os.dup(descriptor) for descriptor in descriptors]
        is_idle = not self._outbox
        for start in range(0, len(data), _PACKET_BYTES):
            end = start + _PACKET_BYTES
            self._outbox.append(((_MORE if end < len(data) else _LAST) + data[start:end], kept))
            kept = []
        if is_idle:
            self._flush()
            if self._outbox:
                self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def _flush(self) -> None:
        while self._outbox:
            packet, descriptors = self._outbox[0]
            try:
                socket.send_fds(self._sock, [packet], descriptors)
            except BlockingIOError:
                return
            except OSError:  # it has gone; the reader is told
                pass
            self._outbox.popleft()
            _close_all(descriptors)

    def _on_writable(self) -> None:
        self._flush()
        if not self._outbox:
            self._loop.remove_writer(self._sock.fileno())

    # -- receiving --------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        try:
            packet, descriptors, _, _ = socket.recv_fds(
                self._sock, _PACKET_BYTES + 1, _MOST_DESCRIPTORS
            )
        except BlockingIOError:
            return
        except OSError:
            packet, descriptors = b"", []
        if not packet:
            self.close()
            self._on_end()
            return
        self._descriptors += descriptors
        self._parts.append(packet[1:])
        if packet[:1] == _LAST:
            message = orjson.loads(b"".join(self._parts))
            received, self._parts, self._descriptors = self._descriptors, [], []
            self._take(message, received)

    def _take(self, message: Message, descriptors: list[int]) -> None:
        if "re" in message:
            answer = self._asked.get(message["re"])
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif "id" in message:
            task = self._loop.create_task(self._reply(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._on_message(message, descriptors)

    async def _reply(self, message: Message) -> None:
        answer = await self._on_question(message)
        self._post({**answer, "re": message["id"]}, ())


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
    descriptors.clear()
