"""A worker's main loop: the messages of every front end, answered one at a time, in turn.

Batches run here, on the main thread. Loading and unloading have a thread of their own, so that a model
that arrives does not hold up those that serve; generation models have theirs, which send events on the
channel that asked. The first connection is the owner's: the worker ends when that one ends, and forgets
another at its end.
"""

import logging
import queue
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from models.bundle import Bundle, open_bundle
from models.datatypes import BY_ONNX, TypeInfo
from models.errors import IntegrityError, SlipwayError
from service.errors import NotReady
from service.memory import give_back
from service.workers import failures
from service.workers.channel import INFER_SECONDS, Channel, Message, Op, Partial
from service.workers.host import ModelHost
from service.workers.limits import limited
from service.workers.pulse import BATCH_LANE, LOAD_LANE, Pulse
from service.workers.tensors import read_tensors, write_tensors
from service.workers.wiring import ArenaPair, arenas_of

_log = logging.getLogger("slipway.worker")

PRIMARY = 0
_DEAF = struct.pack("@ll", 5, 0)  # a secondary front end that reads nothing for 5 s is given up


class Peer:
    """One front end as the worker sees it. `arenas`: for each slot, (inputs, outputs)."""

    def __init__(self, number: int, channel: Channel, arenas: list[ArenaPair]) -> None:
        self.number = number
        self.channel = channel
        self.arenas = arenas

    def close(self) -> None:
        self.channel.close()
        for pair in self.arenas:
            for arena in pair:
                arena.close()


class Worker:
    """`serve` returns when the owner has gone."""

    def __init__(self, primary: Peer, host: ModelHost, pulse: Pulse) -> None:
        self._primary = primary
        self._host = host
        self._pulse = pulse
        self._peers: dict[int, Peer] = {}  # by the descriptor of the channel
        self._output_types: dict[int, list[TypeInfo]] = {}
        self._poll = select.epoll()
        self._loads: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._loader = threading.Thread(target=self._load_all, name="loader", daemon=True)
        self._welcome(primary)

    def serve(self) -> None:
        self._loader.start()
        while self._turn():
            pass
        self._loads.put(None)
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
            self._answer(peer, message, self._run)
        elif message.op == Op.GENERATE:
            self._generate(peer, message)
        elif message.op == Op.CANCEL:
            self._host.cancel(message.model, _own_ident(peer, message))
        elif peer is not self._primary:
            _fail(peer, message, NotReady("only the owner of a worker changes what it holds"))
        elif message.op == Op.LOAD:
            self._later(peer, message, self._load)
        elif message.op == Op.UNLOAD:
            self._later(peer, message, self._unload)
        elif message.op == Op.EXAMINE:
            self._later(peer, message, self._examine)
        elif message.op == Op.WIDEN:
            self._later(peer, message, self._widen)
        elif message.op == Op.ATTACH:
            self._attach(peer, message)

    def _answer(self, peer: Peer, message: Message, work: Callable[[Peer, Message], None]) -> None:
        """Do it, or say why not."""
        try:
            work(peer, message)
        except (BrokenPipeError, ConnectionError, BlockingIOError):
            raise
        except SlipwayError as error:
            _fail(peer, message, error)
        except Exception as error:  # a defect of ours: the sender is told, the rest goes on
            _log.exception("a message could not be handled")
            _fail(peer, message, SlipwayError(type(error).__name__))

    # -- batches ----------------------------------------------------------------------------------

    def _run(self, peer: Peer, message: Message) -> None:
        handle = message.model
        # Before anything of it is touched: should this end the process, it is known who did.
        self._pulse.begin(BATCH_LANE, handle, peer.number, message.ident)
        try:
            inputs_arena, outputs_arena = peer.arenas[message.slot]
            inputs = read_tensors(message.body, inputs_arena)
            is_alone = message.op == Op.RUN_ALONE
            outputs, infer_s = self._host.run(handle, peer.number, message.ident, inputs, is_alone)
            records = write_tensors(outputs, self._output_types[handle], outputs_arena)
        finally:
            self._pulse.end(BATCH_LANE)
        body = INFER_SECONDS.pack(infer_s) + records
        peer.channel.send(Op.RESULT, message.slot, handle, message.ident, body)

    # -- generation -------------------------------------------------------------------------------

    def _generate(self, peer: Peer, message: Message) -> None:
        if self._host.is_stale(message.model):
            # Its thread ended by a fault of ours: opening the model again takes a while.
            self._later(peer, message, self._start_generation)
        else:
            self._answer(peer, message, self._start_generation)

    def _start_generation(self, peer: Peer, message: Message) -> None:
        handle, ident = message.model, message.ident

        def emit(_: int, payload: bytes) -> None:
            # Raises once the front end has gone, which ends the request.
            peer.channel.send(Op.EVENT, model=handle, ident=ident, body=payload)

        self._host.generate(handle, _own_ident(peer, message), bytes(message.body), emit)

    # -- models come and go, on the loader thread -------------------------------------------------

    def _later(self, peer: Peer, message: Message, work: Callable[[Peer, Message], None]) -> None:
        kept = message._replace(body=memoryview(bytes(message.body)))

        def task() -> None:
            self._pulse.begin(LOAD_LANE, kept.model, peer.number, kept.ident)
            try:
                self._answer(peer, kept, work)
            finally:
                self._pulse.end(LOAD_LANE)

        self._loads.put(task)

    def _load_all(self) -> None:
        while (task := self._loads.get()) is not None:
            try:
                task()
            except OSError:
                return  # the owner has gone; the main loop sees it too

    def _load(self, peer: Peer, message: Message) -> None:
        bundle, _ = _ordered(message)
        # First, because a front end may ask the moment that the model is there.
        self._output_types[message.model] = [
            BY_ONNX[spec.dtype.value] for spec in bundle.manifest.outputs
        ]
        report = self._host.load(message.model, bundle)
        peer.channel.send(Op.DONE, ident=message.ident, body=orjson.dumps(report))

    def _examine(self, peer: Peer, message: Message) -> None:
        """Load and forget, within the memory and time that the order allows."""
        bundle, order = _ordered(message)
        with limited(order["memory_bytes"], order["cpu_s"], f"{bundle.name}/{bundle.version}"):
            report = self._host.load(message.model, bundle)
        self._forget_model(message.model)
        peer.channel.send(Op.DONE, ident=message.ident, body=orjson.dumps(report))

    def _widen(self, peer: Peer, message: Message) -> None:
        threads = orjson.loads(message.body)["threads"]
        found = self._host.widen(message.model, threads)
        peer.channel.send(Op.DONE, ident=message.ident, body=orjson.dumps(found))

    def _unload(self, peer: Peer, message: Message) -> None:
        self._forget_model(message.model)
        peer.channel.send(Op.DONE, ident=message.ident)

    def _forget_model(self, handle: int) -> None:
        self._host.unload(handle)
        self._output_types.pop(handle, None)
        give_back()

    # -- front ends come and go -------------------------------------------------------------------

    def _attach(self, peer: Peer, message: Message) -> None:
        channel, *memory = peer.channel.receive_descriptors()
        sock = socket.socket(fileno=channel)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _DEAF)
        self._welcome(Peer(message.slot, Channel(sock), arenas_of(memory)))
        peer.channel.send(Op.DONE, ident=message.ident)

    def _welcome(self, peer: Peer) -> None:
        descriptor = peer.channel.sock.fileno()
        self._peers[descriptor] = peer
        self._poll.register(descriptor, select.EPOLLIN)

    def _forget(self, peer: Peer) -> None:
        descriptor = peer.channel.sock.fileno()
        self._poll.unregister(descriptor)
        del self._peers[descriptor]
        peer.close()


def _ordered(message: Message) -> tuple[Bundle, dict[str, Any]]:
    """The bundle that the front end means. Raises BundleError when it is not there any more."""
    order = orjson.loads(message.body)
    bundle = open_bundle(Path(order["path"]), verify=False)
    if bundle.manifest.created_at != order["created_at"]:
        raise IntegrityError(f"{bundle.name}/{bundle.version} was replaced while it was loaded")
    return bundle, order


def _own_ident(peer: Peer, message: Message) -> int:
    """A generation's number in this process: every front end counts its own requests from 1."""
    return peer.number << 48 | message.ident


def _fail(peer: Peer, message: Message, error: SlipwayError) -> None:
    body = failures.to_json(error)
    peer.channel.send(Op.FAILED, message.slot, message.model, message.ident, body)
