"""A metrics port: /metrics there and nowhere else, the sum of all front ends, until the very end."""

import re
import signal
import socket
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.service.conftest import StartServer, infer_body
from tests.service.test_server import run_serve

ONES = np.ones((1, 4), np.float32)


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def _ready(port: str) -> str:
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found = re.search(r"^slipway_server_ready (\d)$", page, re.MULTILINE)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("frontends", ["1", "2"])
def test_metrics_are_on_their_own_port_alone(
    tiny_repository: Path, start_server: StartServer, frontends: str
) -> None:
    port = _free_port()
    options = ["--metrics-port", port, "--frontends", frontends, "--model", "double"]
    with start_server("--repository", str(tiny_repository), *options) as server:
        for _ in range(8):  # a connection each, so that every front end gets some
            answer = httpx.post(f"{server.url}/v2/models/double/infer", json=infer_body("x", ONES))
            assert answer.status_code == 200
        for _ in range(4):
            assert httpx.get(f"{server.url}/metrics").status_code == 404
        page = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'slipway_inferences_total{model="double",version="1"} 8' in page.text
        assert httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").status_code == 404
        assert server.terminate() == 0


def test_a_draining_server_is_still_scraped(
    tiny_repository: Path, start_server: StartServer
) -> None:
    port = _free_port()
    options = ["--metrics-port", port, "--model", "double", "--lame-duck-s", "2"]
    with start_server("--repository", str(tiny_repository), *options) as server:
        assert _ready(port) == "1"
        server.process.send_signal(signal.SIGTERM)
        limit = time.monotonic() + 2
        while _ready(port) != "0":  # the signal may not have arrived yet
            assert time.monotonic() < limit
        assert server.wait() == 0


def test_a_metrics_port_in_use_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = run_serve(
            "--repository", str(tmp_path), "--port", "0", "--metrics-port", port
        )
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert f"port {port}" in errors
    assert "choose another with --metrics-port" in errors
