"""One front end as a worker sees it: its channel, and its memory for each slot."""

import logging
from typing import TYPE_CHECKING

from models.errors import SlipwayError
from service.generation.request import encode_events
from service.workers import failures
from service.workers.channel import Channel, Message, Op
from service.workers.tensors import TensorReader, TensorWriter
from service.workers.wiring import ArenaPair

if TYPE_CHECKING:
    from service.generation.requests import Events

_log = logging.getLogger("slipway.worker")

_IDENT_BITS = 48
_IDENT_MASK = (1 << _IDENT_BITS) - 1


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

    def own_ident(self, ident: int) -> int:
        """A generation's number in this process: every front end counts its own requests from 1."""
        return self.number << _IDENT_BITS | ident

    def emit(self, events: "Events") -> None:
        """The events of one step, under the numbers that the front end knows, as one message.

        Raises once the front end has gone, which ends its requests.
        """
        told = ((ident & _IDENT_MASK, event) for ident, event in events)
        self.channel.send(Op.EVENTS, body=encode_events(told))

    def close(self) -> None:
        self.channel.close()
        for pair in self.arenas:
            for arena in pair:
                arena.close()
