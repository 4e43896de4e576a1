"""The same promises where bytes really travel: one server with short deadlines, rude callers."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.service.conftest import ServerProcess, StartServer, infer_body
from tests.service.edge.wire import Reply, parse, request

DOUBLE = "/v2/models/double/infer"
BODY = json.dumps(infer_body("x", np.ones((1, 4), np.float32))).encode()
SHORT = [
    "--header-timeout-s", "0.6", "--body-gap-timeout-s", "0.6", "--body-timeout-s", "1.5",
    "--write-timeout-s", "1", "--keep-alive-s", "3",
]  # fmt: skip


@pytest.fixture(scope="module")
def rude_server(tiny_repository: Path, start_server: StartServer) -> Iterator[ServerProcess]:
    arguments = ["--repository", str(tiny_repository), "--model", "double", *SHORT]
    with start_server(*arguments, "--max-body-bytes", str(4 << 20)) as started:
        yield started


def connect(server: ServerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 10)


def read_to_end(sock: socket.socket) -> bytes:
    data = b""
    while part := sock.recv(1 << 16):
        data += part
    return data


def read_reply(sock: socket.socket) -> Reply:
    data = b""
    while not (replies := parse(data)):
        part = sock.recv(1 << 16)
        assert part, data
        data += part
    return replies[0]


@pytest.mark.parametrize(
    ("first", "status"),
    [(b"", 0), (b"GET / HT", 408), (request(path=DOUBLE, body=BODY)[:-3], 408)],
    ids=["silent", "half a head", "half a body"],
)
def test_stalled_callers_are_let_go(rude_server: ServerProcess, first: bytes, status: int) -> None:
    with connect(rude_server) as sock:
        sock.sendall(first)
        replies = parse(read_to_end(sock))
        assert [reply.status for reply in replies] == ([status] if status else [])


def test_drips_are_let_go_and_disturb_nobody(rude_server: ServerProcess) -> None:
    drips = [connect(rude_server) for _ in range(50)]
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.1):
            for sock in drips:
                with contextlib.suppress(OSError):
                    sock.send(b"G")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with connect(rude_server) as sock:
            for _ in range(20):
                sock.sendall(request(path=DOUBLE, body=BODY))
                assert read_reply(sock).status == 200
        for sock in drips:
            assert b" 408 " in read_to_end(sock)
    finally:
        ended.set()
        thread.join()
        for sock in drips:
            sock.close()


@pytest.mark.parametrize("line", ["x-a: b", "expect: 100-continue"])
def test_a_caller_that_sends_too_much_can_read_why(rude_server: ServerProcess, line: str) -> None:
    with connect(rude_server) as sock:
        head = f"POST {DOUBLE} HTTP/1.1\r\nhost: x\r\n{line}\r\ncontent-length: {8 << 20}\r\n\r\n"
        sock.sendall(head.encode())
        if line.startswith("x-a"):
            sock.sendall(bytes(1 << 20))
        assert read_reply(sock).status == 413


def test_headers_without_end_take_no_memory(rude_server: ServerProcess) -> None:
    process = psutil.Process(rude_server.process.pid)
    before = process.memory_info().rss
    for _ in range(5):
        with connect(rude_server) as sock:
            try:
                for _ in range(100):
                    sock.sendall(b"GET / HTTP/1.1\r\nx-a: " + b"a" * 65_536)
            except OSError:
                continue
    assert process.memory_info().rss - before < 4 << 20


def test_a_body_in_a_million_pieces_is_refused(rude_server: ServerProcess) -> None:
    with connect(rude_server) as sock:
        sock.sendall(
            f"POST {DOUBLE} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        try:
            for _ in range(100):
                sock.sendall(b"1\r\na\r\n" * 10_000)
        except OSError:
            return  # let go while sending
        assert read_reply(sock).status == 400


def test_large_bodies_and_answers_travel_whole(rude_server: ServerProcess) -> None:
    rows = np.arange(200_000, dtype=np.float32).reshape(-1, 4)
    with connect(rude_server) as sock:
        for _ in range(2):
            body = json.dumps(infer_body("x", rows)).encode()
            sock.sendall(request(path=DOUBLE, body=body))
            reply = read_reply(sock)
            assert reply.json()["outputs"][0]["data"] == (rows * 2).ravel().tolist()


def test_who_reads_nothing_is_cut_off(rude_server: ServerProcess) -> None:
    rows = np.ones((60_000, 4), np.float32)
    data = request(path=DOUBLE, body=json.dumps(infer_body("x", rows)).encode())
    with connect(rude_server) as sock:
        sock.setblocking(False)
        sent, limit = 0, time.monotonic() + 20
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < limit:
                try:
                    sent += sock.send(memoryview(data)[sent % len(data) :])
                except BlockingIOError:
                    time.sleep(0.05)  # until the server cuts it off, which send() then tells
            raise AssertionError("still connected")
        assert sent < 64 << 20


def test_idle_and_stalled_callers_do_not_hold_up_the_end(
    tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), "--model", "double"]
    with start_server(*arguments) as server:
        silent, idle, half, stalled = (connect(server) for _ in range(4))
        idle.sendall(request(path=DOUBLE, body=BODY))
        assert read_reply(idle).status == 200
        half.sendall(b"POST /v2/mod")
        stalled.sendall(request(path=DOUBLE, body=BODY)[:-3])
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 5.0
        assert parse(read_to_end(half))[0].status == 503
        assert parse(read_to_end(stalled))[0].status == 503
        for sock in (silent, idle):
            assert read_to_end(sock) == b""
            sock.close()
        half.close()
        stalled.close()
        assert "Traceback" not in server.errors
