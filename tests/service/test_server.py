"""A real server, from start to end: what it promises to those who start it, stop it and hurt it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from models.golden import Golden
from models.manifest import Gate
from tests.service import graphs
from tests.service.conftest import ROOT, ServerProcess, StartServer, infer_body

ONES = np.ones((2, 4), np.float32)
WAIT = infer_body("x", np.ones((1, 2), np.float32))


def run_serve(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """(exit code, stderr) of a `slipway serve` that ends by itself."""
    result = subprocess.run(
        [sys.executable, "-m", "slipway", "serve", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **(environment or {})},
    )
    return result.returncode, result.stderr


# -- starting ----------------------------------------------------------------------------------------


def test_a_missing_repository_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    code, errors = run_serve("--repository", str(tmp_path / "nowhere"))
    assert code in (1, 2)
    assert len(errors.splitlines()) == 1
    assert "nowhere" in errors
    assert "slipway train" in errors


def test_a_port_in_use_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, errors = run_serve("--repository", str(tmp_path), "--port", port)
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert f"port {port}" in errors
    assert "--port" in errors


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--port", "eighty"], {}, "--port='eighty'"),
        ([], {"SLIPWAY_WORKERS": "many"}, "SLIPWAY_WORKERS='many'"),
        (["--isolation", "container"], {}, "--isolation='container'"),
        (["--host", "no.such.host.invalid"], {}, "no.such.host.invalid"),
        (["--colour"], {}, "--colour"),
    ],
)
def test_a_bad_setting_is_one_line_and_exit_code_2(
    arguments: list[str], environment: dict[str, str], expected: str, tmp_path: Path
) -> None:
    code, errors = run_serve("--repository", str(tmp_path), *arguments, environment=environment)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert expected in errors


def test_an_unknown_model_is_one_line_that_names_the_known_ones(tiny_repository: Path) -> None:
    code, errors = run_serve("--repository", str(tiny_repository), "--model", "dogs", "--port", "0")
    assert code == 1
    assert "'dogs'" in errors
    assert "double" in errors
    assert "Traceback" not in errors


def test_help_describes_every_option() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "slipway", "serve", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for flag in ("--repository", "--host", "--port", "--workers", "--isolation", "--model"):
        assert flag in result.stdout


def test_an_empty_repository_starts_and_says_so(tmp_path: Path, start_server: StartServer) -> None:
    with start_server("--repository", str(tmp_path)) as server, server.client() as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2/models").json() == {"models": []}
        assert "holds no model" in server.errors


def test_what_cannot_be_trusted_is_not_served_and_said_in_one_line_and_in_the_index(
    tmp_path: Path, start_server: StartServer
) -> None:
    repository = tmp_path / "repository"
    failed = Gate(name="accuracy", limit=0.9, measured=0.5, comparison=">=", passed=False)
    graphs.doubler().publish(repository, "good", tmp_path)
    graphs.doubler().publish(repository, "gated", tmp_path, gates=(failed,))
    graphs.doubler().publish(repository, "allowed", tmp_path, gates=(failed,))
    wrong = Golden({"x": ONES}, {"y": ONES})
    graphs.doubler().publish(repository, "failing", tmp_path, golden=wrong)
    graphs.doubler().publish(repository, "twice", tmp_path)
    bundle = graphs.doubler().publish(repository, "twice", tmp_path)
    (bundle.path / "model.onnx").write_bytes(b"other bytes")
    arguments = ["--repository", str(repository), "--allow-failed-gate", "allowed"]
    with start_server(*arguments) as server, server.client() as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert client.get("/v2/models").json() == {"models": ["allowed", "good", "twice"]}
        index = client.post("/v2/repository/index").json()
        state = {(entry["name"], entry["version"]): entry for entry in index}
        assert state["twice", "1"]["state"] == "READY", "the older version takes its place"
        for key, word in {
            ("gated", "1"): "accuracy",
            ("failing", "1"): "golden exam",
            ("twice", "2"): "model.onnx",
        }.items():
            assert state[key]["state"] == "UNAVAILABLE"
            assert word in state[key]["reason"]
            lines = [line for line in server.errors.splitlines() if "/".join(key) in line]
            assert len(lines) == 1
            assert word in lines[0]
        answer = client.get("/v2/models/gated/ready")
        assert answer.status_code == 503
        assert "Traceback" not in server.errors


# -- serving -----------------------------------------------------------------------------------------


def test_health_answers_json(server: ServerProcess) -> None:
    with server.client() as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}


def test_metadata_says_what_a_model_takes(server: ServerProcess) -> None:
    with server.client() as client:
        about = client.get("/v2").json()
        assert set(about) == {"name", "version", "extensions"}
        for path in ("/v2/models/double", "/v2/models/double/versions/1"):
            assert client.get(path).json() == {
                "name": "double",
                "versions": ["1"],
                "platform": "onnx_onnxv1",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
                "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
            }
            assert client.get(f"{path}/ready").json() == {"name": "double", "ready": True}


@pytest.mark.parametrize("path", ["/v2/models/double/infer", "/v2/models/double/versions/1/infer"])
def test_infer_answers_with_ids_timing_and_numbers(server: ServerProcess, path: str) -> None:
    with server.client() as client:
        body = infer_body("x", ONES, id="mine")
        answer = client.post(path, json=body, headers={"x-request-id": "abc-1"})
    assert answer.status_code == 200
    assert answer.json() == {
        "model_name": "double",
        "model_version": "1",
        "id": "mine",
        "outputs": [{"name": "y", "shape": [2, 4], "datatype": "FP32", "data": [2.0] * 8}],
    }
    assert answer.headers["x-request-id"] == "abc-1"
    assert re.fullmatch(
        r"queue;dur=\S+, infer;dur=\S+, total;dur=\S+", answer.headers["server-timing"]
    )


def test_a_batch_larger_than_the_models_is_answered_whole(server: ServerProcess) -> None:
    rows = np.arange(160, dtype=np.float32).reshape(40, 4)
    with server.client() as client:
        answer = client.post("/v2/models/double/infer", json=infer_body("x", rows)).json()
    assert answer["outputs"][0]["data"] == (2 * rows).ravel().tolist()


def test_a_poisonous_item_fails_alone_among_many(server: ServerProcess) -> None:
    ids = [[1], [2], [99], [3], [0]] * 8
    answers: dict[int, httpx.Response] = {}

    def ask(index: int) -> None:
        body = infer_body("id", np.array(ids[index], np.int64))
        answers[index] = httpx.post(f"{server.url}/v2/models/gather/infer", json=body, timeout=20)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(ids))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, (value,) in enumerate(ids):
        if value == 99:
            assert answers[index].status_code == 422
            assert answers[index].json()["code"] == "input_refused"
        else:
            assert answers[index].json()["outputs"][0]["data"] == [float(value)] * 2


ERRORS = [
    ("POST", "/v2/models/nope/infer", b"{}", {}, 404, "unknown_model"),
    ("POST", "/v2/models/double/versions/9/infer", b"{}", {}, 404, "unknown_model"),
    ("POST", "/v2/models/double/versions/01/infer", b"{}", {}, 404, "unknown_model"),
    ("POST", "/v2/models/double/infer", b"{", {}, 400, "bad_json"),
    ("POST", "/v2/models/double/infer", b"{}", {}, 400, "bad_request"),
    ("POST", "/v2/models/double/infer", b"{}", {"content-type": "image/png"}, 415, None),
    ("POST", "/v2/models/double/infer", b"{}", {"content-encoding": "br"}, 415, None),
    ("POST", "/v2/models/double/infer", b"{}", {"content-encoding": "gzip"}, 400, "bad_request"),
    ("POST", "/v2/models/double/infer", b"x" * 70_000, {}, 413, "body_too_large"),
    ("POST", "/v2/models/nope/infer", b"x" * 70_000, {}, 413, "body_too_large"),
    ("GET", "/v2/models/double/infer", None, {}, 405, "method_not_allowed"),
    ("DELETE", "/v2/models/double", None, {}, 405, "method_not_allowed"),
    ("GET", "/v2/models/nope", None, {}, 404, "unknown_model"),
    ("GET", "/v2/models/..%2f..%2fetc", None, {}, 404, None),
    ("GET", "/nowhere", None, {}, 404, "not_found"),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "code"), ERRORS)
def test_a_mistake_gets_its_status_and_a_body_in_one_shape(
    server: ServerProcess,
    method: str,
    path: str,
    body: bytes | None,
    headers: dict[str, str],
    status: int,
    code: str | None,
) -> None:
    with server.client() as client:
        answer = client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "code", "request_id"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert code in (None, answer.json()["code"])
    assert "/tmp" not in answer.text


def test_a_body_without_announced_length_is_limited_in_bytes_received(
    server: ServerProcess,
) -> None:
    def endless() -> object:
        for _ in range(200):
            yield b"x" * 1024

    with server.client() as client:
        answer = client.post("/v2/models/double/infer", content=endless())
    assert answer.status_code == 413


def test_a_deadline_that_cannot_be_kept_is_a_504(server: ServerProcess) -> None:
    with server.client() as client:
        headers = {"x-request-timeout-ms": "50"}
        answer = client.post("/v2/models/slow/infer", json=WAIT, headers=headers)
    assert answer.status_code == 504
    assert answer.json()["code"] == "deadline"


def test_metrics_count_what_happened(server: ServerProcess) -> None:
    with server.client() as client:
        client.post("/v2/models/mlp/infer", json=infer_body("x", np.ones((3, 16), np.float32)))
        text = client.get("/metrics").text
    wanted = 'slipway_requests_total{model="mlp",version="1",endpoint="/v2/infer",code="200"}'
    assert wanted in text
    assert 'slipway_batch_size_sum{model="mlp",version="1"}' in text
    assert 'slipway_model_ready{model="mlp",version="1"} 1' in text


def test_the_access_log_is_one_json_line_a_request(
    tiny_repository: Path, start_server: StartServer
) -> None:
    with start_server("--repository", str(tiny_repository), "--model", "double") as server:
        with server.client() as client:
            client.post("/v2/models/double/infer", json=infer_body("x", ONES))
            client.get("/nowhere%0afake", headers={"x-request-id": "bad id"})
        assert server.terminate() == 0
        lines = [json.loads(line) for line in server.output.splitlines()]
    assert [line["status"] for line in lines] == [200, 404]
    assert lines[0]["model"] == "double/1"
    assert lines[1]["reason"] == "not_found"
    assert " " not in lines[1]["request_id"]


# -- hurting and ending ------------------------------------------------------------------------------


def test_a_killed_worker_costs_its_requests_and_nothing_else(
    tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), "--workers", "1"]
    with start_server(*arguments) as server, server.client() as client:
        answers: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{server.url}/v2/models/endless/infer", json=WAIT, timeout=20)
            )
        )
        asking.start()
        in_flight = 'slipway_in_flight_requests{model="endless",version="1"} 1'
        while in_flight not in client.get("/metrics").text:
            time.sleep(0.01)
        time.sleep(0.1)  # the batch has reached the worker; nothing outside shows when
        children = psutil.Process(server.process.pid).children()
        worker = min(children, key=psutil.Process.create_time)  # the one that examines came later
        worker.kill()
        asking.join()
        assert answers[0].status_code == 503
        assert answers[0].json()["code"] == "worker_lost"
        assert "retry-after" in answers[0].headers
        answer = client.post("/v2/models/double/infer", json=infer_body("x", ONES))
        assert answer.status_code == 200
        text = client.get("/metrics").text
        assert 'slipway_worker_restarts_total{reason="lost"} 1' in text
        assert client.get("/v2/health/ready").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_ending_finishes_accepted_work_and_exits_with_0(
    number: signal.Signals, tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), "--lame-duck-s", "0.3"]
    with start_server(*arguments) as server, server.client() as client:
        answers: list[int] = []

        def ask() -> None:
            answer = httpx.post(f"{server.url}/v2/models/slow/infer", json=WAIT, timeout=20)
            answers.append(answer.status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        in_flight = 'slipway_in_flight_requests{model="slow",version="1"} 3'
        while in_flight not in client.get("/metrics").text:
            time.sleep(0.01)
        workers = psutil.Process(server.process.pid).children()
        server.process.send_signal(number)
        for worker in workers:  # as systemd does, which signals every process of a service
            worker.send_signal(number)
        while client.get("/v2/health/ready").status_code == 200:
            time.sleep(0.01)
        assert client.get("/v2/health/live").status_code == 200
        assert server.wait() == 0
        for thread in threads:
            thread.join()
        assert answers == [200] * 3
        assert "Traceback" not in server.errors
        assert not any(worker.is_running() for worker in workers)


def test_a_run_without_end_does_not_hold_up_the_end(
    tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), "--grace-s", "1"]
    with start_server(*arguments) as server, server.client() as client:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            body = json.dumps(WAIT).encode()
            head = (
                f"POST /v2/models/endless/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}"
            )
            waiting.sendall(head.encode() + b"\r\n\r\n" + body)
            in_flight = 'slipway_in_flight_requests{model="endless",version="1"} 1'
            while in_flight not in client.get("/metrics").text:
                time.sleep(0.01)
            workers = psutil.Process(server.process.pid).children()
            assert server.terminate() == 0
            assert b"shutting_down" in waiting.recv(4096)
        assert "Traceback" not in server.errors
        assert not any(worker.is_running() for worker in workers)


def test_a_stalled_upload_does_not_hold_up_the_end(
    tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), "--model", "double", "--grace-s", "1"]
    with start_server(*arguments) as server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as stalled:
            stalled.sendall(
                b"POST /v2/models/double/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{"
            )
            began = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - began < 4.0


def test_the_server_killed_outright_leaves_no_worker_behind(
    tiny_repository: Path, start_server: StartServer
) -> None:
    with start_server("--repository", str(tiny_repository), "--model", "double") as server:
        workers = psutil.Process(server.process.pid).children()
        assert workers
        server.process.kill()
        server.wait()
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert not alive


def test_deleting_a_served_version_does_not_disturb_it(
    tmp_path: Path, start_server: StartServer
) -> None:
    repository = tmp_path / "repository"
    bundle = graphs.doubler().publish(repository, "double", tmp_path)
    with start_server("--repository", str(repository)) as server, server.client() as client:
        shutil.rmtree(bundle.path)
        answer = client.post("/v2/models/double/infer", json=infer_body("x", ONES))
        assert answer.status_code == 200
