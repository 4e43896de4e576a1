"""Callers on raw sockets: they know when a request was sent whole, and what became of it."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.service.conftest import infer_body

LOST = 0
"""In place of a status: the connection ended without an answer."""

BODY = json.dumps(infer_body("x", np.ones((1, 2), np.float32))).encode()


def infer(model: str, *lines: str, body: bytes = BODY) -> bytes:
    """A V2 request; `lines` are further headers."""
    head = [f"POST /v2/models/{model}/infer HTTP/1.1", "host: x", *lines]
    return "\r\n".join([*head, f"content-length: {len(body)}"]).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Answer:
    """`sent` and `took_s` in monotonic seconds."""

    status: int
    sent: float
    took_s: float
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Connection:
    """Kept alive; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_open = True

    @classmethod
    async def to(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, data: bytes) -> Answer:
        sent = time.monotonic()
        try:
            self._writer.write(data)
            await self._writer.drain()
            sent = time.monotonic()
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return Answer(LOST, sent, time.monotonic() - sent)
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(first.split()[1]), sent, time.monotonic() - sent, headers, body)

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self.is_open = False
        self._writer.close()

    def reset(self) -> None:
        """Leave without goodbye."""
        self.is_open = False
        self._writer.transport.abort()


class Crowd:
    """Any number of callers on kept connections; answers are counted as they come."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[Connection] = []
        self.answers: list[Answer] = []

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    async def ask(self, data: bytes) -> Answer:
        connection = self._free.pop() if self._free else await Connection.to(self._port)
        answer = await connection.ask(data)
        if connection.is_open:
            self._free.append(connection)
        self.answers.append(answer)
        return answer

    async def closed_loop(self, data: bytes, callers: int, seconds: float) -> float:
        """Each asks again when it has its answer. Good answers per second."""
        ends, before = time.monotonic() + seconds, self.statuses[200]

        async def call() -> None:
            while time.monotonic() < ends:
                await self.ask(data)

        await asyncio.gather(*(call() for _ in range(callers)))
        return (self.statuses[200] - before) / seconds

    async def open_loop(
        self, requests: Sequence[bytes], per_s: float, seconds: float, attempts: int = 1
    ) -> None:
        """Poisson arrivals that do not slow down with the server. `attempts`: how often each is sent, at
        once and without a pause, until it is answered well."""
        chance, due, began = random.Random(1), 0.0, time.monotonic()

        async def ask(data: bytes) -> None:
            for _ in range(attempts):
                if (await self.ask(data)).status == 200:
                    return

        async with asyncio.TaskGroup() as asked:
            while due < seconds:
                due += chance.expovariate(per_s)
                late_s = began + due - time.monotonic()
                await asyncio.sleep(max(late_s, 0.0))
                asked.create_task(ask(chance.choice(requests)))

    def close(self) -> None:
        for connection in self._free:
            connection.close()
