"""One front end as a worker sees it: its channel, and its memory for each slot."""

import logging

from models.errors import SlipwayError
from service.workers import failures
from service.workers.channel import Channel, Message, Op
from service.workers.tensors import TensorReader, TensorWriter
from service.workers.wiring import ArenaPair

_log = logging.getLogger("slipway.worker")


class Peer:
    """`number`: 0 for the worker's owner. `arenas`: for each slot, (inputs, outputs)."""

    def __init__(self, number: int, channel: Channel, arenas: list[ArenaPair]) -> None:
        self.number = number
        self.channel = channel
        self.arenas = arenas
        self.readers = [TensorReader(inputs) for inputs, _ in arenas]
        self.writers = [TensorWriter(outputs) for _, outputs in arenas]

    def fail(self, message: Message, error: Exception) -> None:
        """Say why there is no answer; a defect of ours is logged and told by its kind alone."""
        if not isinstance(error, SlipwayError):
            _log.error("a message could not be handled", exc_info=error)
            error = SlipwayError(type(error).__name__)
        body = failures.to_json(error)
        self.channel.send(Op.FAILED, message.slot, message.model, message.ident, body)

    def close(self) -> None:
        self.channel.close()
        for pair in self.arenas:
            for arena in pair:
                arena.close()
