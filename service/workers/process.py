"""What a worker process runs: `python -m service.workers.process`, started by the pool and by nobody else.

One loop reads messages and answers them in order; generation models have their own threads, which send
their events on the same channel. The process ends when the front end's end of the channel closes, so it
never outlives its server, however that died.
"""

import argparse
import logging
import signal
import socket
from pathlib import Path

import orjson

from models.bundle import open_bundle
from models.datatypes import BY_ONNX, TypeInfo
from models.errors import IntegrityError, SlipwayError
from service.runtimes.base import SessionOptions
from service.workers import failures
from service.workers.arena import Arena
from service.workers.channel import INFER_SECONDS, Channel, Message, Op
from service.workers.host import ModelHost
from service.workers.tensors import read_tensors, write_tensors

_log = logging.getLogger("slipway.worker")


class WorkerProcess:
    """`arenas`: for each slot, (inputs, outputs)."""

    def __init__(
        self, channel: Channel, arenas: list[tuple[Arena, Arena]], options: SessionOptions
    ) -> None:
        self._channel = channel
        self._arenas = arenas
        self._host = ModelHost(options)
        self._output_types: dict[int, list[TypeInfo]] = {}

    def serve(self) -> None:
        """Answer until the front end has gone."""
        while (message := self._channel.receive()) is not None:
            try:
                self._handle(message)
            except SlipwayError as error:
                self._fail(message, error)
            except Exception as error:  # a defect of ours: the sender is told, the rest goes on
                _log.exception("a message could not be handled")
                self._fail(message, SlipwayError(type(error).__name__))
        self._host.close()

    def _handle(self, message: Message) -> None:
        if message.op == Op.RUN:
            self._run(message)
        elif message.op == Op.GENERATE:
            self._generate(message)
        elif message.op == Op.CANCEL:
            self._host.cancel(message.model, message.ident)
        elif message.op == Op.LOAD:
            self._load(message)
        elif message.op == Op.UNLOAD:
            self._host.unload(message.model)
            self._channel.send(Op.DONE, ident=message.ident)

    def _run(self, message: Message) -> None:
        inputs_arena, outputs_arena = self._arenas[message.slot]
        inputs = read_tensors(message.body, inputs_arena)
        outputs, infer_s = self._host.model(message.model).run(inputs)
        records = write_tensors(outputs, self._output_types[message.model], outputs_arena)
        body = INFER_SECONDS.pack(infer_s) + records
        self._channel.send(Op.RESULT, message.slot, message.model, message.ident, body)

    def _load(self, message: Message) -> None:
        order = orjson.loads(message.body)
        bundle = open_bundle(Path(order["path"]), verify=False)
        if bundle.manifest.created_at != order["created_at"]:
            raise IntegrityError(f"{bundle.name}/{bundle.version} was replaced while it was loaded")
        report = self._host.load(message.model, bundle)
        self._output_types[message.model] = [
            BY_ONNX[spec.dtype.value] for spec in bundle.manifest.outputs
        ]
        self._channel.send(Op.DONE, ident=message.ident, body=orjson.dumps(report))

    def _generate(self, message: Message) -> None:
        handle = message.model

        def emit(ident: int, payload: bytes) -> None:
            self._channel.send(Op.EVENT, model=handle, ident=ident, body=payload)

        self._host.generate(handle, message.ident, bytes(message.body), emit)

    def _fail(self, message: Message, error: SlipwayError) -> None:
        body = failures.to_json(error)
        self._channel.send(Op.FAILED, message.slot, message.model, message.ident, body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Internal: an inference worker of `slipway serve`."
    )
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--arenas", type=int, nargs="+", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--provider", choices=("cpu", "cuda", "tensorrt"), required=True)
    arguments = parser.parse_args()
    # Terminals, `timeout` and systemd signal every process of the service, but it is the server that
    # decides when its workers end: they hold requests that it has accepted.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format="worker: %(message)s")
    descriptors = arguments.arenas
    pairs = zip(descriptors[::2], descriptors[1::2], strict=True)
    arenas = [(Arena(inputs), Arena(outputs)) for inputs, outputs in pairs]
    channel = Channel(socket.socket(fileno=arguments.channel))
    options = SessionOptions(arguments.threads, arguments.provider)
    try:
        WorkerProcess(channel, arenas, options).serve()
    except (BrokenPipeError, ConnectionError):
        return  # the front end died while it was being answered


if __name__ == "__main__":
    main()
