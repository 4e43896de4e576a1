"""One connection without a socket: bytes go into the real protocol, what it writes is read as HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import uvicorn
from uvicorn.server import ServerState

from models.bundle import Bundle
from service.batching.batcher import Batcher, BatchLimits
from service.edge.protocol import EdgeProtocol
from service.observability.metrics import Metrics
from service.registry import ModelRegistry, ServedModel
from service.settings import load_settings
from service.stack import build
from service.workers.base import Arrays, ModelKey, RunResult
from tests.service.loops import until
from tests.service.manifests import vector

KEY = ModelKey("m", 1)
PATH = "/v2/models/m/infer"
BODY = orjson.dumps(
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
)


def request(
    method: str = "POST", path: str = PATH, body: bytes = BODY, *lines: str, host: str = "x"
) -> bytes:
    """A sound request; `lines` are further headers."""
    head = [f"{method} {path} HTTP/1.1", f"host: {host}", *lines, f"content-length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Wire(asyncio.Transport):
    """What the protocol does to its socket, written down."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.writes = 0
        self.is_closed = self.is_aborted = self.has_ended = self.is_paused = False
        self.unsent_bytes = 0
        self.on_abort: Callable[[], None] = lambda: None

    def write(self, data: Any) -> None:
        assert not self.is_closed
        assert not self.has_ended
        self.sent += data
        self.writes += 1

    def write_eof(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True
        self.on_abort()

    def is_closing(self) -> bool:
        return self.is_closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False


class Pool:
    is_healthy = True
    size = 1


class Served:
    """A server's insides around one model that doubles, fails or waits as the test says."""

    def __init__(self, **settings: object) -> None:
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.runs = 0
        self.now = 1000.0
        self.metrics = Metrics({})
        self.registry = ModelRegistry()
        self.registry.is_loading = False
        bundle = Bundle(Path("nowhere"), vector(2))
        self.model = ServedModel(bundle, Pool(), self.metrics.model(KEY), state="ready")  # type: ignore[arg-type]
        limits = BatchLimits(max_batch_size=4)
        self.model.batcher = Batcher(self._run, vector(2), limits, self.model.meters)
        self.registry.add(self.model)
        given = {"max_body_bytes": 2000, "access_log": False, "request_timeout_s": 5.0, **settings}
        app, self.edge = build(self.registry, load_settings(**given), self.metrics)
        self.edge.sweeper._clock = lambda: self.now
        config = uvicorn.Config(
            app, http=partial(EdgeProtocol, self.edge), ws="none", lifespan="off"
        )  # type: ignore[arg-type]
        config.load()
        self.config = config
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today")]

    def connect(self) -> "Caller":
        return Caller(self)

    def pass_time(self, seconds: float) -> None:
        """Let it pass in steps as the sweeper's timer would, without waiting."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 0.5, end)
            sweeper = self.edge.sweeper
            if sweeper._timer is not None:
                sweeper._timer.cancel()
            sweeper.sweep()

    async def close(self) -> None:
        self.gate.set()
        assert self.model.batcher is not None
        await self.model.batcher.close()
        await until(lambda: not self.state.tasks)
        self.state.connections.clear()
        self.pass_time(0.5)  # the sweeper sees that nobody is left, and rests

    async def _run(self, inputs: Arrays) -> RunResult:
        self.runs += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return RunResult({"y": inputs["x"] * 2}, 0.001)


class Caller:
    def __init__(self, served: Served) -> None:
        self.wire = Wire()
        self.protocol = EdgeProtocol(served.edge, served.config, served.state, {})
        self.protocol.connection_made(self.wire)
        self.wire.on_abort = lambda: self.protocol.connection_lost(ConnectionAbortedError())

    def send(self, data: bytes) -> None:
        self.protocol.data_received(data)

    async def ask(self, data: bytes) -> Reply:
        """Send, and wait for the one answer."""
        self.send(data)
        return (await self.replies(1))[0]

    async def replies(self, count: int) -> list[Reply]:
        await until(lambda: len(parse(bytes(self.wire.sent))) >= count)
        found = parse(bytes(self.wire.sent))
        assert len(found) == count
        self.wire.sent.clear()
        return found

    def leave(self) -> None:
        self.wire.close()
        self.protocol.connection_lost(None)


def parse(data: bytes) -> list[Reply]:
    """Whole answers with a content-length; what is not whole yet is left out."""
    found = []
    while b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first).group(1))  # type: ignore[union-attr]
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        length = 0 if status == 100 else int(headers.get("content-length", 0))
        if len(rest) < length:
            break
        if status != 100:
            found.append(Reply(status, headers, rest[:length]))
        data = rest[length:]
    return found


@asynccontextmanager
async def served(**settings: object) -> AsyncIterator[Served]:
    made = Served(**settings)
    try:
        yield made
    finally:
        await made.close()
