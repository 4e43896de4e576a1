"""Servers that do not come up say why, and none is left behind."""

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.processes import free_port, get, started

SERVER = """
import http.server, subprocess, sys
print("coming up", file=sys.stderr, flush=True)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *given):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_server_and_what_it_started_are_ended(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port)]
    with started(command, port=port, ready_path="/", cwd=tmp_path) as server:
        assert get(port, "/") == (200, b"ok")
        assert server.ready_s > 0
        assert server.log_lines() == server.log_lines() == ["coming up"]
        assert server.cpu().main_s >= 0
        assert server.resident_bytes() > 1_000_000
        family = [server.process, *server.process.children(recursive=True)]
        assert len(family) == 2
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


def test_the_last_words_of_one_that_does_not_start_are_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such model')"]
    with (
        pytest.raises(MeasurementFailed, match="did not start: no such model"),
        started(command, port=free_port(), ready_path="/", cwd=tmp_path),
    ):
        raise AssertionError("it never answered")


def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        pytest.raises(MeasurementFailed, match="did not start"),
        started(command, port=free_port(), ready_path="/", cwd=tmp_path, limit_s=0.2),
    ):
        raise AssertionError("it never answered")
