"""What one connection between a front end and a worker is made of, while its parts change hands.

The owner of a worker makes a wiring, gives one end to the worker (`for_worker`) and keeps the other or
passes it to another process (`for_front_end`), which builds it up again (`Wiring.of`). Every descriptor has
one owner at a time; `close` gives back what is still here.
"""

import os
import socket
from collections.abc import Sequence

from service.workers.arena import Arena
from service.workers.channel import Channel
from service.workers.pulse import Pulse

SLOTS = 2
"""Batches in flight per connection: one computed, one ready behind it, so that models take turns at once."""

ArenaPair = tuple[Arena, Arena]
"""Memory for inputs, memory for outputs."""


class Wiring:
    """A front end's end: `sock`, one pair of arenas per slot, the worker's pulse.

    `number` tells the worker's connections apart; 0 is its owner's.
    """

    def __init__(
        self, number: int, sock: socket.socket, arenas: list[ArenaPair], pulse: Pulse
    ) -> None:
        self.number = number
        self.sock = sock
        self.arenas = arenas
        self.pulse = pulse

    @classmethod
    def create(cls, number: int, pulse: Pulse) -> "tuple[Wiring, socket.socket]":
        """A new one, and the worker's end of its channel."""
        ours, theirs = Channel.pair()
        arenas = [(Arena.create("in"), Arena.create("out")) for _ in range(SLOTS)]
        return cls(number, ours, arenas, Pulse(os.dup(pulse.descriptor))), theirs

    @classmethod
    def of(cls, number: int, descriptors: Sequence[int]) -> "Wiring":
        """From `for_front_end`'s descriptors as they arrived in this process."""
        sock, pulse, *memory = descriptors
        return cls(number, socket.socket(fileno=sock), arenas_of(memory), Pulse(pulse))

    @property
    def memory(self) -> list[int]:
        return [arena.descriptor for pair in self.arenas for arena in pair]

    def for_worker(self, theirs: socket.socket) -> list[int]:
        """What an ATTACH carries: the worker's end, then the arenas."""
        return [theirs.fileno(), *self.memory]

    def for_front_end(self) -> list[int]:
        """What another process needs to be this end; send it over a socket, then `close` this."""
        return [self.sock.fileno(), self.pulse.descriptor, *self.memory]

    def close(self) -> None:
        """Memory and descriptors; may be called once."""
        self.sock.close()
        self.pulse.close()
        for pair in self.arenas:
            for arena in pair:
                arena.close()


def arenas_of(descriptors: Sequence[int]) -> list[ArenaPair]:
    """(inputs, outputs) per slot."""
    pairs = zip(descriptors[::2], descriptors[1::2], strict=True)
    return [(Arena(inputs), Arena(outputs)) for inputs, outputs in pairs]
