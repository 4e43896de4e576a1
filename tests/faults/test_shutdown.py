"""The end under load: whoever was accepted is answered, whoever stalls is not waited for."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.callers import BODY, LOST, Answer, Connection, infer
from tests.faults.conftest import port_of
from tests.service.conftest import ServerProcess, running
from tests.service.loops import in_loop

_CALLERS = 100


class Load:
    """Callers that ask again and again on kept connections until nobody listens any more, and a watcher
    that connects all the time, to know when that is."""

    def __init__(self, server: ServerProcess) -> None:
        self._port = port_of(server)
        self.answers: list[Answer] = []
        self.last_listening = 0.0

    async def run(self, callers: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            for number in range(callers):
                model = "quick" if number % 4 else "double"
                tasks.create_task(self._call(infer(model)))

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    @property
    def lost(self) -> list[Answer]:
        """Sent whole while the server was still listening, and never answered."""
        return [a for a in self.answers if a.status == LOST and a.sent < self.last_listening]

    async def _call(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = await Connection.to(self._port)
                while connection.is_open:
                    self.answers.append(await connection.ask(data))

    async def _watch(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                began = time.monotonic()
                connection = await Connection.to(self._port)
                self.last_listening = began
                connection.close()
                await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("isolation", "lame_duck_s"), [("process", "0.4"), ("process", "0"), ("none", "0.4")]
)
@in_loop
async def test_no_accepted_request_is_lost(
    isolation: str, lame_duck_s: str, repository: Path
) -> None:
    arguments = ["--repository", str(repository), "--isolation", isolation]
    arguments += ["--lame-duck-s", lame_duck_s, "--max-queue-wait-ms", "5000"]
    with running(*arguments) as server:
        load = Load(server)
        loading = asyncio.create_task(load.run(_CALLERS))
        while load.statuses[200] < 3 * _CALLERS:
            await asyncio.sleep(0.01)
        asked = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await loading
        assert await asyncio.to_thread(server.wait) == 0
        assert "Traceback" not in server.errors
    assert load.lost == []
    assert set(load.statuses) <= {200, LOST}
    after = [a for a in load.answers if a.sent > asked and a.status == 200]
    if float(lame_duck_s):
        assert len(after) > _CALLERS, "it went on accepting"
        closing = [a for a in after if a.headers.get("connection") == "close"]
        assert closing, "callers are told to go elsewhere"
        early = [a for a in closing if a.sent + a.took_s < asked + float(lame_duck_s) - 0.1]
        assert not early, "but not before the end of the lame duck"


@in_loop
async def test_readiness_goes_first_and_work_is_taken_until_the_lame_duck_is_over(
    repository: Path,
) -> None:
    arguments = ["--repository", str(repository), "--model", "double", "--lame-duck-s", "1"]
    with running(*arguments) as server:
        port = port_of(server)
        server.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        probe = b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\n\r\n"
        connection = await Connection.to(port)
        while (await connection.ask(probe)).status == 200:
            assert time.monotonic() - asked < 0.5
        assert (await connection.ask(infer("double"))).status == 200, "still accepting"
        fresh = await Connection.to(port)
        assert (await fresh.ask(infer("double"))).status == 200
        for each in (connection, fresh):
            each.close()
        assert await asyncio.to_thread(server.wait) == 0
        assert 0.9 < time.monotonic() - asked < 4.0


@contextlib.contextmanager
def stalled(port: int) -> Iterator[None]:
    """Every kind of caller that does not come to an end by itself."""
    values = b"1.5," * 399_999 + b"1.5"
    tensor = b'{"name": "x", "shape": [200000, 2], "datatype": "FP32", "data": [%b]}' % values
    sent = [b"", b"POST /v2/mod", infer("double")[:-3], infer("double")]
    with contextlib.ExitStack() as sockets:
        for data in sent:
            sock = sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.sendall(data)
        reader = sockets.enter_context(socket.socket())
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", port))
        reader.sendall(
            infer("double", body=b'{"inputs": [%b]}' % tensor)
        )  # its answer has 3 MB, and nobody reads it
        yield


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["process", "none"])
def test_callers_that_stall_in_every_way_cost_the_grace_period_at_most(
    isolation: str, repository: Path
) -> None:
    arguments = ["--repository", str(repository), "--isolation", isolation, "--grace-s", "2"]
    with running(*arguments) as server, stalled(port_of(server)):
        with server.client() as client:  # all that was sent has been read, and the answer is stuck
            while 'model="double",version="1"} 2' not in _counted(client.get("/metrics").text):
                time.sleep(0.02)
        asked = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - asked < 2 + 6, "not the twenty seconds of an unread answer"
        assert "Traceback" not in server.errors


def _counted(text: str) -> str:
    found = [line for line in text.splitlines() if line.startswith("slipway_request_seconds_count")]
    return "\n".join(found)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(number: signal.Signals, repository: Path) -> None:
    arguments = ["--repository", str(repository), "--model", "slow", "--grace-s", "30"]
    with running(*arguments, "--lame-duck-s", "30") as server:
        with socket.create_connection(("127.0.0.1", port_of(server))) as sock:
            sock.sendall(infer("slow"))
            server.process.send_signal(signal.SIGTERM)
            with server.client() as client:
                while client.get("/v2/health/ready").status_code == 200:
                    time.sleep(0.01)
            time.sleep(0.6)  # one signal that is delivered twice must not count as two
            asked = time.monotonic()
            server.process.send_signal(number)
            code = server.wait()
        assert code in (128 + number, -number)
        assert time.monotonic() - asked < 10, "not the thirty seconds of grace"


@pytest.mark.slow
def test_killed_again_and_again_the_server_comes_back_with_its_models(repository: Path) -> None:
    before = sorted(path.name for path in repository.rglob("*"))
    memory = set(os.listdir("/dev/shm"))
    for _ in range(3):
        with running("--repository", str(repository)) as server:
            with server.client() as client:
                answer = client.post(
                    "/v2/models/double/infer",
                    content=BODY,
                    headers={"content-type": "application/json"},
                )
                assert answer.status_code == 200
            server.process.kill()
    assert sorted(path.name for path in repository.rglob("*")) == before
    assert set(os.listdir("/dev/shm")) <= memory
    assert np.isfinite(answer.json()["outputs"][0]["data"]).all()
