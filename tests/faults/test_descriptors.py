"""No file descriptors are left: newcomers have to wait or are turned away, those who are connected are
served, and when there is room again all is as before."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.faults.callers import infer
from tests.faults.conftest import port_of
from tests.service.conftest import running

SPARE = 16


def test_the_connected_are_served_and_the_server_recovers(repository: Path) -> None:
    with running("--repository", str(repository), "--model", "double") as server:
        port = port_of(server)
        process = psutil.Process(server.process.pid)
        with socket.create_connection(("127.0.0.1", port), 10) as kept:
            assert ask(kept) == b"HTTP/1.1 200 OK"
            most = process.num_fds() + SPARE
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (most, most))
            with ExitStack() as crowd:
                for _ in range(4 * SPARE):
                    crowd.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                for _ in range(20):
                    assert ask(kept) == b"HTTP/1.1 200 OK"
                assert process.cpu_percent(0.5) < 90, "it does not spin over what it cannot accept"
            limit = time.monotonic() + 10
            while not is_served(port):
                assert time.monotonic() < limit
            assert ask(kept) == b"HTTP/1.1 200 OK"
        assert server.terminate() == 0
        assert "Traceback" not in server.errors


def is_served(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as sock:
            return ask(sock) == b"HTTP/1.1 200 OK"
    except OSError:
        return False


def ask(sock: socket.socket) -> bytes:
    sock.sendall(infer("double"))
    return sock.recv(1 << 16).split(b"\r\n")[0]
