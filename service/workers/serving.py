"""A worker's main loop: the messages of every front end, answered one at a time, in turn.

Batches run here, on the main thread. Loading and unloading have a thread of their own, so that a model
that arrives does not hold up those that serve; generation models have theirs, which send events on the
channel that asked. The first connection is the owner's: the worker ends when that one ends, and forgets
another at its end.
"""

import select
import socket
import struct
from contextlib import suppress

from models.errors import DeviceLost
from service.errors import NotReady
from service.generation.stats import EngineStats
from service.workers.channel import INFER_SECONDS, Channel, Message, Op, Partial
from service.workers.host import ModelHost
from service.workers.loading import Loader
from service.workers.peer import Peer
from service.workers.pulse import BATCH_LANE, Pulse
from service.workers.wiring import arenas_of

PRIMARY = 0
_DEAF = struct.pack("@ll", 5, 0)  # a secondary front end that reads nothing for 5 s is given up


class Worker:
    """`serve` returns when the owner has gone, or when the GPU has failed for this process for good."""

    def __init__(self, primary: Peer, host: ModelHost, pulse: Pulse) -> None:
        self._primary = primary
        self._host = host
        self._pulse = pulse
        self._peers: dict[int, Peer] = {}  # by the descriptor of the channel
        self._poll = select.epoll()
        self._loader = Loader(host, pulse)
        self._has_device = True
        host.on_stats = self._report
        self._welcome(primary)

    def serve(self) -> None:
        self._loader.start()
        while self._has_device and self._turn():
            pass
        self._loader.stop()
        if self._has_device:  # else closing its sessions fails too, or never ends
            self._host.close()

    def _turn(self) -> bool:
        """Wait for messages, answer one of each front end that has sent any. False: the owner is gone."""
        if len(self._peers) == 1:
            # Most servers have one front end: straight into its channel, without asking who is ready.
            return self._hear(self._primary)
        for descriptor, _ in self._poll.poll():
            peer = self._peers.get(descriptor)
            if peer is None or self._hear(peer):
                continue
            if peer is self._primary:
                return False
            self._forget(peer)
        return True

    def _hear(self, peer: Peer) -> bool:
        """Take one packet and do what it says. False when the front end has gone."""
        message = peer.channel.receive_part()
        if isinstance(message, Partial):
            return True
        if message is None:
            return False
        try:
            self._handle(peer, message)
        except (BrokenPipeError, ConnectionError, BlockingIOError):
            return False  # it has gone, or does not read, while it was being answered
        return True

    def _handle(self, peer: Peer, message: Message) -> None:
        if message.op in (Op.RUN, Op.RUN_ALONE):
            self._run(peer, message)
        elif message.op == Op.GENERATE:
            self._generate(peer, message)
        elif message.op == Op.CANCEL:
            self._host.cancel(message.model, peer.own_ident(message.ident))
        elif peer is not self._primary:
            peer.fail(message, NotReady("only the owner of a worker changes what it holds"))
        elif message.op == Op.ATTACH:
            self._attach(peer, message)
        else:
            self._loader.take(peer, message)

    # -- batches ----------------------------------------------------------------------------------

    def _run(self, peer: Peer, message: Message) -> None:
        handle = message.model
        # Before anything of it is touched: should this end the process, it is known who did.
        self._pulse.begin(BATCH_LANE, handle, peer.number, message.ident)
        try:
            inputs = peer.readers[message.slot].read(message.body)
            is_alone = message.op == Op.RUN_ALONE
            types = self._host.model(handle).output_types
            writer = peer.writers[message.slot]
            outputs, infer_s = self._host.run(
                *(handle, peer.number, message.ident, inputs, is_alone),
                room=lambda shapes: writer.room(handle, shapes, types),
            )
            records = writer.write(handle, outputs, types)
        except Exception as error:  # whatever it was, the sender is told, and the rest goes on
            self._pulse.end(BATCH_LANE)
            peer.fail(message, error)
            self._has_device = not isinstance(error, DeviceLost)
            return
        self._pulse.end(BATCH_LANE)
        body = INFER_SECONDS.pack(infer_s) + records
        peer.channel.send(Op.RESULT, message.slot, handle, message.ident, body)

    # -- generation -------------------------------------------------------------------------------

    def _generate(self, peer: Peer, message: Message) -> None:
        if self._host.is_stale(message.model):
            # Its thread ended by a fault of ours: opening the model again takes a while.
            kept = message._replace(body=memoryview(bytes(message.body)))
            self._loader.call(message.model, lambda: self._start_generation(peer, kept))
        else:
            self._start_generation(peer, message)

    def _start_generation(self, peer: Peer, message: Message) -> None:
        try:
            ident = peer.own_ident(message.ident)
            self._host.generate(message.model, ident, bytes(message.body), peer.emit)
        except Exception as error:  # as for a batch
            peer.fail(message, error)

    def _report(self, handle: int, stats: EngineStats) -> None:
        """To the owner alone: one sum of all front ends' requests, counted once."""
        with suppress(ConnectionError):  # it has gone, and this process is about to follow
            self._primary.channel.send(Op.STATS, model=handle, body=stats.to_json())

    # -- front ends come and go -------------------------------------------------------------------

    def _attach(self, peer: Peer, message: Message) -> None:
        channel, *memory = peer.channel.receive_descriptors()
        sock = socket.socket(fileno=channel)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _DEAF)
        self._welcome(Peer(message.slot, Channel(sock), arenas_of(memory)))
        peer.channel.send(Op.DONE, ident=message.ident)

    def _welcome(self, peer: Peer) -> None:
        for inputs, _ in peer.arenas:
            inputs.pin = self._host.pin
        descriptor = peer.channel.sock.fileno()
        self._peers[descriptor] = peer
        self._poll.register(descriptor, select.EPOLLIN)

    def _forget(self, peer: Peer) -> None:
        descriptor = peer.channel.sock.fileno()
        self._poll.unregister(descriptor)
        del self._peers[descriptor]
        peer.close()
