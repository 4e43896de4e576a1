"""How a server ends: the first SIGTERM or Ctrl-C asks it to finish, the second stops it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import uvicorn

from service.edge.protocol import EdgeProtocol

_ECHO_S = 0.5

_log = logging.getLogger("slipway.server")


class GracefulServer(uvicorn.Server):
    """uvicorn's server without its own signal handling, which would end the process by the signal
    (exit -15) after a perfectly graceful stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn, which at the end of the grace period cancels tasks; the fast lane has none."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if isinstance(connection, EdgeProtocol):
                connection.give_up()


def install(server: uvicorn.Server, on_drain: Callable[[], None], lame_duck_s: float) -> None:
    """`on_drain` makes readiness false; after `lame_duck_s` the listener closes and accepted work ends."""
    loop = asyncio.get_running_loop()
    asked_at: float | None = None

    def on_signal(number: signal.Signals) -> None:
        nonlocal asked_at
        if asked_at is not None:
            # `timeout` and some shells deliver one signal twice, to the process and to its group.
            if time.monotonic() - asked_at > _ECHO_S:
                os._exit(130 if number is signal.SIGINT else 143)
            return
        asked_at = time.monotonic()
        _log.info("%s: finishing accepted requests; once more stops at once", number.name)
        on_drain()
        loop.call_later(lame_duck_s, setattr, server, "should_exit", True)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
