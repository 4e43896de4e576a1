"""A real server tells what it does, on the fast lane as everywhere."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from service.observability.process_info import read_process
from tests.service.conftest import ROOT, ServerProcess, StartServer, infer_body

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
PATH, ONES = "/v2/models/double/infer", infer_body("x", np.ones((1, 4), np.float32))


@pytest.fixture(scope="module")
def server(tiny_repository: Path, start_server: StartServer) -> Iterator[ServerProcess]:
    arguments = ["--repository", str(tiny_repository), "--model", "double"]
    with start_server(*arguments) as started:
        yield started


def test_the_processes_of_the_server_are_described(server: ServerProcess) -> None:
    with server.client() as client:
        text = client.get("/metrics").text
    found = dict(re.findall(r'slipway_process_resident_memory_bytes\{process="(.*)"\} (\d+)', text))
    assert {"frontend-0", "worker-0"} <= set(found)
    info = read_process(server.process.pid)
    assert info is not None
    assert int(found["frontend-0"]) == pytest.approx(info.rss_bytes, rel=0.2)
    started = psutil.Process(server.process.pid).create_time()
    pattern = r'slipway_process_start_time_seconds\{process="frontend-0"\} (\S+)'
    [told] = re.findall(pattern, text)
    assert float(told) == pytest.approx(started, abs=2)


def test_sessions_name_what_was_asked_for_and_what_computes(server: ServerProcess) -> None:
    with server.client() as client:
        text = client.get("/metrics").text
    [labels] = re.findall(r"slipway_session_info\{(.*)\} 1", text)
    assert 'requested_provider="cpu",active_provider="cpu",threads="' in labels
    assert re.findall(r"slipway_model_required\{(.*)\} 1", text) == ['model="double"']
    [build] = re.findall(r"slipway_build_info\{(.*)\} 1", text)
    assert 'onnxruntime="1' in build


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", PATH, ONES, 200),
        ("POST", PATH, {"inputs": []}, 400),
        ("GET", "/v2/models/double", None, 200),
        ("GET", "/nowhere", None, 404),
    ],
)
def test_every_answer_continues_the_trace_and_tells_its_time(
    server: ServerProcess, method: str, path: str, body: object, status: int
) -> None:
    with server.client() as client:
        answer = client.request(method, path, json=body, headers=GIVEN)
        plain = client.request(method, path, json=body)
        broken = client.request(method, path, json=body, headers={"traceparent": "00-nonsense"})
    assert answer.status_code == plain.status_code == broken.status_code == status
    assert re.fullmatch(rf"00-{TRACE}-(?!{PARENT})[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    assert "traceparent" not in plain.headers
    assert TRACE not in broken.headers["traceparent"]
    assert re.search(r"total;dur=\d", answer.headers["server-timing"])


def test_the_log_of_the_fast_lane_has_the_phases_and_the_trace(
    tiny_repository: Path, start_server: StartServer
) -> None:
    with start_server("--repository", str(tiny_repository), "--model", "double") as server:
        with server.client() as client:
            answer = client.post(PATH, json=ONES, headers=GIVEN)
            client.post(PATH, content=b"{")
        assert server.terminate() == 0
    good, bad = [json.loads(line) for line in server.output.splitlines()]
    span = answer.headers["traceparent"].split("-")[2]
    assert (good["trace_id"], good["span_id"]) == (TRACE, span)
    assert (good["model"], good["status"], good["batch_size"]) == ("double/1", 200, 1)
    assert 0 <= good["queue_ms"] < good["duration_ms"]
    assert (bad["status"], bad["reason"]) == (400, "bad_json")
    assert "trace_id" not in bad


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_costs_log_lines_not_answers(tiny_repository: Path) -> None:
    command = [sys.executable, "-m", "slipway", "serve", "--port", "0", "--model", "double"]
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*command, "--repository", str(tiny_repository)],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr)
        url = next(found[1] for text in lines if (found := re.search(r"at (http://\S+)", text)))
        with httpx.Client(base_url=url, timeout=20) as client:
            assert {client.post(PATH, json=ONES).status_code for _ in range(20)} == {200}
            next(text for text in lines if "access log cannot be written" in text)
            found = re.search(
                r'dropped_total{sink="access_log"} (\d+)', client.get("/metrics").text
            )
            assert found is not None
            assert int(found[1]) > 0
            assert client.post(PATH, json=ONES).status_code == 200
    finally:
        process.terminate()
        process.stderr.close()
        assert process.wait(20) == 0
