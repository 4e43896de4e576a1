"""Real processes: several front ends are one server, whatever happens to one of them."""

import asyncio
import collections
import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.service import graphs
from tests.service.conftest import ServerProcess, StartServer, infer_body

ONES = infer_body("x", np.ones((1, 4), np.float32))
_LIMIT_S = 20.0
_MODELS = ["--model", "double", "--model", "mlp", "--model", "slow"]


@pytest.fixture(scope="module")
def server(tiny_repository: Path, start_server: StartServer) -> Iterator[ServerProcess]:
    """Two front ends, shared by tests that leave them as they were."""
    with start_server(
        "--repository", str(tiny_repository), *_MODELS, "--frontends", "2"
    ) as started:
        yield started


def secondary(server: ServerProcess) -> psutil.Process:
    return named(server, "service.frontends.process")[0]


def named(server: ServerProcess, module: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if module in child.cmdline():
                found.append(child)
    return found


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + _LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)


def ask_once(server: ServerProcess, path: str = "/v2/health/ready") -> httpx.Response:
    """Over a new connection, which any front end may take."""
    with server.client() as client:
        return client.get(path)


def front_end(response: httpx.Response) -> str:
    """Ids begin with what their front end drew at its start."""
    return response.headers["x-request-id"].split("-")[0]


def metric(server: ServerProcess, name: str, **labels: str) -> float:
    text = ask_once(server, "/metrics").text
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    found = [
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if re.match(rf"{name}[{{ ]", line) and all(label in line for label in wanted)
    ]
    return sum(found)


def answered(server: ServerProcess) -> float:
    return metric(server, "slipway_requests_total", model="double", code="200")


async def infer_many(url: str, requests: int) -> collections.Counter[str]:
    """Front end → requests that it answered."""
    limits = httpx.Limits(max_connections=16, max_keepalive_connections=16)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=20) as client:
        sent = (client.post("/v2/models/double/infer", json=ONES) for _ in range(requests))
        answers = await asyncio.gather(*sent)
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["outputs"][0]["data"] == [2.0] * 4 for answer in answers)
    return collections.Counter(front_end(answer) for answer in answers)


def test_requests_reach_every_front_end_and_any_of_them_knows_the_sum(
    server: ServerProcess,
) -> None:
    before = answered(server)
    shares = asyncio.run(infer_many(server.url, 200))
    assert len(shares) == 2
    assert {answered(server) for _ in range(6)} == {before + 200}
    runs = metric(server, "slipway_queue_seconds_count", model="double")
    assert runs == metric(server, "slipway_request_seconds_count", model="double")
    stats = [ask_once(server, "/v2/models/double/stats").json() for _ in range(4)]
    counts = {one["model_stats"][0]["inference_count"] for one in stats}
    assert counts == {before + 200}


def test_every_front_end_knows_the_same_models(server: ServerProcess) -> None:
    answers: dict[str, set[str]] = collections.defaultdict(set)
    asked: set[str] = set()
    while len(asked) < 2:
        with server.client() as client:
            ready = client.get("/v2/health/ready")
            asked.add(front_end(ready))
            answers["ready"].add(ready.text)
            answers["index"].add(client.post("/v2/repository/index").text)
            answers["models"].add(client.get("/v2/models").text)
            answers["metadata"].add(client.get("/v2/models/mlp").text)
    assert {name: len(texts) for name, texts in answers.items()} == dict.fromkeys(answers, 1)


def test_the_announcement_is_one_line(server: ServerProcess) -> None:
    assert len(re.findall(r"serving .* at http", server.errors)) == 1


def test_gauges_name_each_front_end_and_each_process(server: ServerProcess) -> None:
    text = ask_once(server, "/metrics").text
    for name in ("frontend-0", "frontend-1"):
        assert f'slipway_open_connections{{frontend="{name}"}}' in text
        assert f'slipway_event_loop_lag_seconds_count{{frontend="{name}"}}' in text
        assert f'slipway_process_resident_memory_bytes{{process="{name}"}}' in text


def test_a_killed_front_end_is_replaced_and_its_counts_stay(server: ServerProcess) -> None:
    asyncio.run(infer_many(server.url, 60))
    before, lost = answered(server), metric(server, "slipway_frontend_restarts_total")
    old = secondary(server)
    old.kill()
    until(lambda: metric(server, "slipway_frontend_restarts_total", reason="lost") == lost + 1)
    assert answered(server) == before
    until(lambda: len(named(server, "service.frontends.process")) == 1)
    assert secondary(server).pid != old.pid
    until(lambda: 'slipway_open_connections{frontend="frontend-1"}' in metrics_text(server))
    until(lambda: len(asyncio.run(infer_many(server.url, 40))) == 2)
    assert answered(server) > before


def metrics_text(server: ServerProcess) -> str:
    return ask_once(server, "/metrics").text


def test_after_a_worker_was_killed_every_front_end_has_its_successor(
    server: ServerProcess,
) -> None:
    before = metric(server, "slipway_worker_restarts_total")
    for worker in named(server, "service.workers.process"):
        worker.kill()
    until(lambda: metric(server, "slipway_worker_restarts_total") > before)

    def all_answer() -> bool:
        try:
            return len(asyncio.run(infer_many(server.url, 40))) == 2
        except AssertionError:  # 503 while the workers come up
            return False

    until(all_answer)


def test_a_front_end_that_hangs_is_not_waited_for(server: ServerProcess) -> None:
    """Stopped: connections go to the other one, scrapes answer with what it said last."""
    asyncio.run(infer_many(server.url, 40))
    before = answered(server)
    stuck = secondary(server)
    stuck.suspend()
    try:
        answers = [ask_once(server) for _ in range(5)]
        assert {answer.status_code for answer in answers} == {200}
        assert len({front_end(answer) for answer in answers}) == 1
        assert answered(server) == before
    finally:
        stuck.resume()


def test_the_end_of_the_primary_is_the_end_of_all(
    tiny_repository: Path, start_server: StartServer
) -> None:
    with start_server("--repository", str(tiny_repository), *_MODELS, "--frontends", "2") as server:
        children = psutil.Process(server.process.pid).children()
        assert len(named(server, "service.frontends.process")) == 1
        server.process.kill()
        _, alive = psutil.wait_procs(children, timeout=_LIMIT_S)
        assert not alive


class Load(threading.Thread):
    """Asks without pause until the server is gone; remembers what came of it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.statuses: collections.Counter[int] = collections.Counter()
        self.versions: collections.Counter[str] = collections.Counter()
        self.lost: list[str] = []
        self.began = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=20) as client:
            while True:
                try:
                    answer = client.post("/v2/models/double/infer", json=ONES)
                except (httpx.ConnectError, httpx.ConnectTimeout):
                    return  # nothing listens any more
                except httpx.TransportError as error:
                    self.lost.append(repr(error))
                    continue
                self.statuses[answer.status_code] += 1
                self.versions[answer.json().get("model_version", "")] += 1
                self.began.set()


def test_ending_under_load_loses_nothing_that_was_accepted(
    tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), *_MODELS, "--frontends", "2"]
    with start_server(*arguments) as server:
        results: list[int] = []
        slow = threading.Thread(target=ask_slowly, args=(server.url, results))
        loads = [Load(server.url) for _ in range(4)]
        for load in loads:
            load.start()
        for load in loads:
            assert load.began.wait(_LIMIT_S)
        slow.start()
        until(lambda: metric(server, "slipway_in_flight_requests", model="slow") > 0)
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        slow.join()
        for load in loads:
            load.join()
        counted = [line for line in server.output.splitlines() if '"model":"double/1"' in line]
    assert set(results) == {200}
    assert {status for load in loads for status in load.statuses} == {200}
    assert [load.lost for load in loads] == [[]] * len(loads)
    assert len(counted) == sum(load.statuses[200] for load in loads)


def ask_slowly(url: str, results: list[int]) -> None:
    """Several at once, so that either front end has some when the end comes."""
    body = infer_body("x", np.ones((1, 2), np.float32))

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            sent = (client.post("/v2/models/slow/infer", json=body) for _ in range(6))
            results.extend(answer.status_code for answer in await asyncio.gather(*sent))

    asyncio.run(ask())


def test_without_worker_processes_there_is_nothing_to_share(tiny_repository: Path) -> None:
    from tests.service.test_server import run_serve

    code, errors = run_serve(
        "--repository", str(tiny_repository), "--frontends", "2", "--isolation", "none",
        "--port", "0",
    )  # fmt: skip
    assert code == 2
    assert "--frontends" in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_models_come_and_go_through_any_front_end(
    tiny_repository: Path, start_server: StartServer
) -> None:
    arguments = ["--repository", str(tiny_repository), "--frontends", "2", "--model", "mlp"]
    with start_server(*arguments, "--model-control-mode", "explicit") as server:
        asked: dict[str, set[str]] = {"load": set(), "unload": set()}

        def change(what: str) -> None:
            with server.client() as client:
                answer = client.post(f"/v2/repository/models/double/{what}")
            assert answer.status_code == 200, answer.text
            asked[what].add(front_end(answer))

        def statuses() -> dict[str, int]:
            """Of the front ends. Connections stay open until both were asked: the next goes to whoever has
            the fewest."""
            found: dict[str, int] = {}
            with contextlib.ExitStack() as stack:
                while len(found) < 2:
                    client = stack.enter_context(server.client())
                    answer = client.post("/v2/models/double/infer", json=ONES)
                    found[front_end(answer)] = answer.status_code
            return found

        for _ in range(20):
            change("load")
            assert set(statuses().values()) == {200}
            change("unload")
            assert set(statuses().values()) == {404}
            if all(len(front_ends) == 2 for front_ends in asked.values()):
                break
        assert all(len(front_ends) == 2 for front_ends in asked.values())
        with server.client() as client:
            refused = client.post("/v2/repository/models/nothing/load")
        assert refused.status_code == 404
        assert refused.json()["request_id"] == refused.headers["x-request-id"]


@pytest.mark.slow
def test_a_front_end_that_hangs_for_long_is_replaced(
    tiny_repository: Path, start_server: StartServer
) -> None:
    with start_server("--repository", str(tiny_repository), *_MODELS, "--frontends", "2") as server:
        stuck = secondary(server)
        stuck.suspend()
        until(lambda: metric(server, "slipway_frontend_restarts_total", reason="hung") == 1)
        until(lambda: len(asyncio.run(infer_many(server.url, 40))) == 2)
        assert not psutil.pid_exists(stuck.pid)


def test_a_new_version_takes_over_at_every_front_end_without_a_lost_request(
    tmp_path: Path, start_server: StartServer
) -> None:
    repository = tmp_path / "repository"
    graphs.doubler().publish(repository, "double", tmp_path)
    arguments = ["--repository", str(repository), "--frontends", "2"]
    arguments += ["--model-control-mode", "poll", "--repository-poll-s", "0.2"]
    with start_server(*arguments) as server:
        loads = [Load(server.url) for _ in range(3)]
        for load in loads:
            load.start()
        for load in loads:
            assert load.began.wait(_LIMIT_S)
        graphs.doubler().publish(repository, "double", tmp_path)
        until(lambda: all(load.versions.get("2", 0) > 20 for load in loads))
        metadata = [ask_once(server, "/v2/models/double").json()["versions"] for _ in range(6)]
        assert metadata == [["2"]] * 6
        assert server.terminate() == 0
        for load in loads:
            load.join()
    assert {status for load in loads for status in load.statuses} == {200}
    assert [load.lost for load in loads] == [[]] * len(loads)
    assert {version for load in loads for version in load.versions} == {"1", "2"}
