"""The lifecycle of a real server's models, under load, seen from outside."""

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import onnx
import psutil
import pytest
from onnx import helper

from models.bundle import Bundle
from models.datatypes import DataType
from models.golden import Golden
from tests.service import graphs
from tests.service.conftest import ServerProcess, StartServer, infer_body

TOKEN = "correct-horse-battery"
EXPLICIT = ("--model-control-mode", "explicit")
POLL = ("--model-control-mode", "poll", "--repository-poll-s", "0.1")
INPUT = infer_body("x", np.zeros((1, 2), np.float32))


def constant(value: int, megabytes: float = 0.0) -> graphs.Tiny:
    """y = x + value: on zeros the answer tells which version computed it."""
    weights = {"value": np.full(2, value, np.float32)}
    nodes = [helper.make_node("Add", ["x", "value"], ["y"])]
    if megabytes:
        weights["ballast"] = np.ones((2, int(megabytes * 131_072)), np.float32)
        weights["none"] = np.zeros((1, 1), np.float32)
        nodes = [
            helper.make_node("MatMul", ["x", "ballast"], ["wide"]),
            helper.make_node("ReduceSum", ["wide"], ["sum"], keepdims=1),
            helper.make_node("Mul", ["sum", "none"], ["nothing"]),
            helper.make_node("Add", ["x", "value"], ["shifted"]),
            helper.make_node("Add", ["shifted", "nothing"], ["y"]),
        ]
    return graphs.Tiny(
        nodes,
        [graphs.spec("x", DataType.FLOAT, ["batch", 2])],
        [graphs.spec("y", DataType.FLOAT, ["batch", 2])],
        weights,
        sample={"x": np.zeros((1, 2), np.float32)},
    )


def publish(folder: Path, value: int, name: str = "m", megabytes: float = 0.0) -> Bundle:
    return constant(value, megabytes).publish(folder / "repository", name, folder)


def index(client: httpx.Client) -> dict[str, tuple[str, str]]:
    entries = client.post("/v2/repository/index").json()
    return {f"{e['name']}/{e['version']}": (e["state"], e["reason"]) for e in entries}


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    limit = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


class Hammer:
    """Callers that never stop; an answer must be the one of the version that it names."""

    def __init__(self, url: str, path: str = "/v2/models/m/infer", callers: int = 4) -> None:
        self.url, self.path = url, path
        self.answers: dict[int, int] = {}
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]

    def __enter__(self) -> "Hammer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self.url, timeout=20.0) as client:
            while not self._stop.is_set():
                response = client.post(self.path, json=INPUT)
                if response.status_code != 200:
                    self.wrong.append(f"{response.status_code} {response.text}")
                    continue
                answer = response.json()
                version = int(answer["model_version"])
                if answer["outputs"][0]["data"] != [version, version]:
                    self.wrong.append(response.text)
                self.answers[version] = self.answers.get(version, 0) + 1


def test_versions_published_under_load_cost_no_request_and_are_never_mixed(
    tmp_path: Path, start_server: StartServer
) -> None:
    publish(tmp_path, 1)
    with (
        start_server("--repository", str(tmp_path / "repository"), *POLL) as server,
        server.client() as client,
        Hammer(server.url) as hammer,
    ):
        for version in range(2, 5):
            publish(tmp_path, version)
            wait_until(lambda v=version: v in hammer.answers)  # type: ignore[misc]
            assert client.get("/v2/health/ready").status_code == 200
        wait_until(lambda: index(client)["m/3"][0] == "UNAVAILABLE")
        metrics = client.get("/metrics").text
    assert hammer.wrong == []
    assert set(hammer.answers) == {1, 2, 3, 4}
    assert 'slipway_model_ready{model="m",version="4"} 1' in metrics
    assert 'slipway_model_ready{model="m",version="3"} 0' in metrics


def test_commands_back_and_forth_under_load_cost_no_request_and_are_never_mixed(
    tmp_path: Path, start_server: StartServer
) -> None:
    for version in (1, 2):
        publish(tmp_path, version)
    arguments = ["--repository", str(tmp_path / "repository"), *EXPLICIT, "--model", "m"]
    with (
        start_server(*arguments) as server,
        server.client() as client,
        Hammer(server.url) as hammer,
    ):
        for turn in range(10):
            body = {"parameters": {"version": str(turn % 2 + 1)}}
            answer = client.post("/v2/repository/models/m/load", json=body)
            assert answer.status_code == 200, answer.text
    assert hammer.wrong == []
    assert set(hammer.answers) == {1, 2}


def test_deleting_models_under_load_ends_them_in_peace(
    tmp_path: Path, start_server: StartServer
) -> None:
    publish(tmp_path, 1)
    publish(tmp_path, 1, "other")
    with (
        start_server("--repository", str(tmp_path / "repository"), *POLL) as server,
        server.client() as client,
        Hammer(server.url, "/v2/models/other/infer") as hammer,
    ):
        shutil.rmtree(tmp_path / "repository" / "m")
        wait_until(lambda: client.post("/v2/models/m/infer", json=INPUT).status_code == 404)
        assert client.get("/v2/health/ready").status_code == 200
        assert index(client).get("m/1", ("UNLOADING", ""))[0] == "UNLOADING"
    assert hammer.wrong == []
    assert hammer.answers


def damage(kind: str, folder: Path) -> str:
    """A version 2 of the model `kind` that must not be served; the word that the reason must hold."""
    if kind == "exam":
        wrong = Golden({"x": np.zeros((1, 2), np.float32)}, {"y": np.ones((1, 2), np.float32)})
        constant(2).publish(folder / "repository", kind, folder, golden=wrong)
        return "golden exam"
    model = publish(folder, 2, kind).path / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data if kind == "flipped" else data[:-7])
    if kind == "gone":
        model.unlink()
    return "model.onnx"


def test_a_bad_new_version_leaves_the_old_one_serving_and_says_why(
    tmp_path: Path, start_server: StartServer
) -> None:
    kinds = ("truncated", "flipped", "gone", "exam")
    for kind in kinds:
        publish(tmp_path, 1, kind)
    arguments = ["--repository", str(tmp_path / "repository"), *EXPLICIT, "--model", "*"]
    with start_server(*arguments) as server, server.client() as client:
        for kind in kinds:
            word = damage(kind, tmp_path)
            answer = client.post(f"/v2/repository/models/{kind}/load")
            assert answer.status_code == 503
            assert answer.json()["code"] == "load_failed"
            assert "version 1 is served" in answer.json()["error"]
            state, reason = index(client)[f"{kind}/2"]
            assert state == "UNAVAILABLE"
            assert word in reason
            asked = client.post(f"/v2/models/{kind}/infer", json=INPUT).json()
            assert (asked["model_version"], asked["outputs"][0]["data"]) == ("1", [1, 1])
            assert client.get("/v2/health/ready").status_code == 200
            metric_word = "exam" if kind == "exam" else "integrity"
            labels = f'model="{kind}",version="2",reason="{metric_word}"'
            line = f"slipway_model_load_failures_total{{{labels}}} 1"
            assert line in client.get("/metrics").text
            assert str(tmp_path) not in json.dumps([answer.json(), reason])


def test_many_commands_at_once_end_as_the_last_says(
    tmp_path: Path, start_server: StartServer
) -> None:
    names = [f"m{number}" for number in range(4)]
    for name in names:
        publish(tmp_path, 1, name)
    arguments = ["--repository", str(tmp_path / "repository"), *EXPLICIT]
    with start_server(*arguments) as server, server.client() as client:
        codes: set[int] = set()

        def command(name: str, turns: int) -> None:
            with server.client() as own:
                for turn in range(turns):
                    verb = "load" if turn % 2 == 0 else "unload"
                    codes.add(own.post(f"/v2/repository/models/{name}/{verb}").status_code)

        threads = [threading.Thread(target=command, args=(n, 8)) for n in names for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == {200}
        for name in names:
            assert client.post(f"/v2/repository/models/{name}/load").status_code == 200
        assert client.get("/v2/models").json() == {"models": names}
        for name in names:
            assert client.post(f"/v2/repository/models/{name}/unload").status_code == 200
        assert client.get("/v2/models").json() == {"models": []}
        assert client.get("/v2/health/ready").status_code == 200
        assert server.process.poll() is None


def test_the_token_opens_and_its_absence_or_a_web_page_does_not(
    tmp_path: Path, start_server: StartServer
) -> None:
    publish(tmp_path, 1)
    arguments = ["--repository", str(tmp_path / "repository"), *EXPLICIT]
    environment = {"SLIPWAY_ADMIN_TOKEN": TOKEN}
    with (
        start_server(*arguments, environment=environment) as server,
        server.client() as client,
    ):
        path = "/v2/repository/models/m/load"
        refused = client.post(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        right = {"authorization": f"Bearer {TOKEN}"}
        assert client.post(path, headers=right | {"origin": "http://evil"}).status_code == 403
        assert client.post("/v2/models/m/infer", json=INPUT).status_code == 404
        assert client.post(path, headers=right).status_code == 200
        assert client.post("/v2/models/m/infer", json=INPUT).status_code == 200
        assert server.terminate() == 0
        assert TOKEN not in server.errors + server.output


def test_a_lazy_model_is_loaded_by_its_first_request(
    tmp_path: Path, start_server: StartServer
) -> None:
    publish(tmp_path, 1)
    publish(tmp_path, 1, "unused")
    arguments = ["--repository", str(tmp_path / "repository"), "--lazy"]
    with start_server(*arguments) as server, server.client() as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2/models/m/ready").status_code == 200
        assert "m/1 is ready" not in server.errors
        with httpx.Client(base_url=server.url) as other:
            answers = [c.post("/v2/models/m/infer", json=INPUT) for c in (client, other)]
        assert [answer.status_code for answer in answers] == [200, 200]
        typed = client.post("/v1/models/m/predict", json={"inputs": {"x": [0, 0]}})
        assert typed.status_code in (200, 400), typed.text
        assert "/v2/models/unused/infer" in client.get("/openapi.json").json()["paths"]
        assert server.errors.count("m/1 is ready") == 1
        assert "unused/1 is ready" not in server.errors


def memory_bytes(server: ServerProcess) -> dict[int, int]:
    """Private memory of the front end and of each process below it."""
    front_end = psutil.Process(server.process.pid)
    processes = [front_end, *front_end.children()]
    return {process.pid: process.memory_full_info().uss for process in processes}


@pytest.mark.slow
def test_hundreds_of_loads_and_unloads_give_the_memory_back(
    tmp_path: Path, start_server: StartServer
) -> None:
    publish(tmp_path, 1, megabytes=4.0)
    publish(tmp_path, 1, "stays")
    arguments = ["--repository", str(tmp_path / "repository"), *EXPLICIT, "--model", "stays"]
    with start_server(*arguments) as server, server.client() as client:

        def cycle(times: int) -> None:
            for _ in range(times):
                for verb in ("load", "unload"):
                    answer = client.post(f"/v2/repository/models/m/{verb}")
                    assert answer.status_code == 200, answer.text

        cycle(20)
        time.sleep(0.5)  # tidying comes a moment after the last unload
        before = memory_bytes(server)
        cycle(200)
        time.sleep(0.5)
        after = memory_bytes(server)
    assert before.keys() == after.keys(), "no process was replaced"
    for pid, size in before.items():
        assert after[pid] < size * 1.05, f"process {pid} grew from {size} to {after[pid]} bytes"


def test_the_ballast_is_not_optimised_away() -> None:
    """Else the memory test would watch nothing."""
    assert len(onnx.load_from_string(constant(1, 4.0).data).SerializeToString()) > 4e6
