"""The front end's end of a channel: never waits, and says once when the other side has gone."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from service.workers.channel import PACKET_BYTES, Channel, Message, packet, packets


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
        self._outbox: deque[tuple[bytes, Sequence[int]]] = deque()  # packet, descriptors with it
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def send(self, op: int, slot: int, model: int, ident: int, body: bytes = b"") -> None:
        """Send now, or as soon as the other side reads. A dead other side is reported by `on_end` alone."""
        if not self._outbox and len(body) <= PACKET_BYTES:
            try:
                self._sock.send(packet(op, slot, model, ident, body))
            except BlockingIOError:
                pass  # below, with the others that wait
            except OSError:
                return
            else:
                return
        self._post([(part, ()) for part in packets(op, slot, model, ident, body)])

    def send_descriptors(self, op: int, slot: int, ident: int, descriptors: Sequence[int]) -> None:
        """A message, and right behind it a packet that carries the descriptors.

        The caller keeps its own copies open until the answer: they may still wait to be sent.
        """
        announcement = packet(op, slot, 0, ident, b"")
        self._post([(announcement, ()), (announcement, descriptors)])

    def close(self) -> None:
        """May be called twice."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._channel.close()

    def _post(self, entries: Sequence[tuple[bytes, Sequence[int]]]) -> None:
        is_idle = not self._outbox
        self._outbox.extend(entries)
        if is_idle:
            self._flush()
            if self._outbox:
                self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def _flush(self) -> None:
        while self._outbox:
            data, descriptors = self._outbox[0]
            try:
                if descriptors:
                    socket.send_fds(self._sock, [data], descriptors)
                else:
                    self._sock.send(data)
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
