"""What a worker process runs: `python -m service.workers.process`, started by the pool and by nobody else.

The process ends when its owner's end of the channel closes, so it never outlives its server, however that
died.
"""

import argparse
import contextlib
import logging
import signal
import socket

from models.runtimes.gpu import GpuOptions
from service.generation.options import GenerationOptions
from service.memory import use_one_arena
from service.turns import give_way
from service.workers.channel import Channel
from service.workers.host import ModelHost
from service.workers.options import HostOptions
from service.workers.peer import Peer
from service.workers.pulse import Pulse
from service.workers.serving import PRIMARY, Worker
from service.workers.watchdog import Watchdog
from service.workers.wiring import arenas_of


def main() -> None:
    use_one_arena()
    give_way()
    arguments = _parse()
    # Terminals, `timeout` and systemd signal every process of the service, but it is the server that
    # decides when its workers end: they hold requests that it has accepted.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(format="worker: %(message)s")
    channel = Channel(socket.socket(fileno=arguments.channel))
    primary = Peer(PRIMARY, channel, arenas_of(arguments.arenas))
    pulse = Pulse(arguments.pulse)
    generation = GenerationOptions.from_json(arguments.generation)
    gpu = GpuOptions.from_json(arguments.gpu)
    options = HostOptions(arguments.threads, arguments.provider, gpu=gpu, generation=generation)
    host = ModelHost(options, pulse)
    Watchdog(pulse, host.terminate, arguments.hang_timeout).start()
    with contextlib.suppress(BrokenPipeError, ConnectionError):  # the owner died meanwhile
        Worker(primary, host, pulse).serve()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Internal: an inference worker of `slipway serve`."
    )
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--pulse", type=int, required=True)
    parser.add_argument("--arenas", type=int, nargs="+", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--provider", choices=("cpu", "cuda", "tensorrt"), required=True)
    parser.add_argument("--hang-timeout", type=float, required=True)
    parser.add_argument("--gpu", required=True)
    parser.add_argument("--generation", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
