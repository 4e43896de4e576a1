"""What a secondary runs: `python -m service.frontends.process`, started by the primary and by nobody else.

Everything it needs to know comes over the control socket, the settings first. The process ends when the
primary's end of that socket closes, so it never outlives its server, however that died.
"""

import argparse
import asyncio
import os
import signal
import socket

from service.frontends.balance import Counts
from service.frontends.control import Control, Message
from service.frontends.secondary import Secondary
from service.frontends.settings import from_members
from service.server import configure_logging, new_loop
from service.settings import Settings
from service.turns import take_short_turns


class Life:
    """Messages that come before the settings have been acted on wait here."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._early: list[tuple[Message, list[int]]] = []
        self._secondary: Secondary | None = None

    async def live(self) -> None:
        given = self._arguments
        self._settings: asyncio.Future[Settings] = asyncio.get_running_loop().create_future()
        control = Control(
            socket.socket(fileno=given.control),
            on_message=self._on_message,
            on_question=self._on_question,
            on_end=_primary_has_gone,
        )
        settings = await self._settings
        configure_logging(settings)
        listener = socket.socket(fileno=given.listener)
        counts = Counts(given.counts, given.size)
        secondary = Secondary(given.index, settings, control, listener, counts)
        self._secondary = secondary
        for message, descriptors in self._early:
            secondary.on_message(message, descriptors)
        await secondary.run()
        control.close()

    def _on_message(self, message: Message, descriptors: list[int]) -> None:
        if self._secondary is not None:
            self._secondary.on_message(message, descriptors)
        elif message["kind"] == "settings":
            self._settings.set_result(from_members(message["settings"]))
        else:
            self._early.append((message, descriptors))

    async def _on_question(self, question: Message) -> Message:
        if self._secondary is None:
            return {"dump": None}
        return await self._secondary.on_question(question)


def _primary_has_gone() -> None:
    """With it the workers: nothing that was accepted can be answered any more."""
    os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Internal: a further front end of `slipway serve --frontends N`."
    )
    for name in ("control", "listener", "counts", "index", "size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    arguments = parser.parse_args()
    # Terminals, `timeout` and systemd signal every process of the service, but it is the primary that
    # decides when they end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    take_short_turns()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(Life(arguments).live())


if __name__ == "__main__":
    main()
