"""The front end's end of a channel: never waits, and says once when the other side has gone."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from service.workers.channel import Channel, Message, packets


class Link:
    """Belongs to the event loop. Messages arrive in `on_message`, the end in `on_end`."""

    def __init__(
        self,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_end: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._channel = Channel(sock)
        self._sock = sock
        self._on_message = on_message
        self._on_end = on_end
        self._outbox: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def send(self, op: int, slot: int, model: int, ident: int, body: bytes = b"") -> None:
        """Send now, or as soon as the other side reads. A dead other side is reported by `on_end` alone."""
        is_idle = not self._outbox
        self._outbox.extend(packets(op, slot, model, ident, body))
        if is_idle:
            self._flush()
            if self._outbox:
                self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def close(self) -> None:
        """May be called twice."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._channel.close()

    def _flush(self) -> None:
        while self._outbox:
            try:
                self._sock.send(self._outbox[0])
            except BlockingIOError:
                return
            except OSError:
                self._outbox.clear()
                return
            self._outbox.popleft()

    def _on_writable(self) -> None:
        self._flush()
        if not self._outbox:
            self._loop.remove_writer(self._sock.fileno())

    def _on_readable(self) -> None:
        try:
            message = self._channel.receive()
        except BlockingIOError:
            return
        if message is None:
            self._on_end()
        else:
            self._on_message(message)
