"""A server chooses once, says what and why everywhere, remembers it, and survives what was remembered
being lost or wrong."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from models.runtimes.base import RuntimeMissing
from service.selection.wishes import Wish, wanted
from service.workers.host import ModelHost
from service.workers.options import HostOptions
from tests.service.conftest import ServerProcess, StartServer
from tests.service.selection.bundles import published, quick, wrong

BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [3, 5]}]}
HAS_OPENVINO = importlib.util.find_spec("openvino") is not None


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """m: a reference of several milliseconds, a quick variant and a wrong one."""
    variants = {"int8": quick(), "int4": wrong()}
    published(tmp_path / "repository", "m", tmp_path, variants)
    return tmp_path / "repository"


@pytest.fixture
def serve(repository: Path, tmp_path: Path, start_server: StartServer) -> "Serve":
    @contextmanager
    def start(*more: str) -> Iterator[ServerProcess]:
        given = ("--repository", str(repository), "--runtime", "onnxruntime", "--selection")
        cache = ("--selection-cache", str(tmp_path / "cache"))
        with start_server(*given, *cache, *more) as server:
            yield server

    return start


Serve = StartServer


def told(client: httpx.Client) -> tuple[str, str]:
    """What the server says it runs, and why; the same wherever it says so."""
    model = client.get("/v1/models/m").json()
    parameters = client.get("/v2/models/m/config").json()["parameters"]
    config = {name: value["string_value"] for name, value in parameters.items()}
    for name in ("runtime", "provider", "precision", "selection"):
        assert model[name] == config[name]
    labels = (
        f'model="m",version="1",runtime="{model["runtime"]}",precision="{model["precision"]}",'
        f'provider="{model["provider"]}"'
    )
    assert f"slipway_model_runtime_info{{{labels}}} 1" in client.get("/metrics").text
    return f"{model['runtime']} {model['precision']}", model["selection"]


def answer(client: httpx.Client) -> list[float]:
    values: list[float] = client.post("/v2/models/m/infer", json=BODY).json()["outputs"][0]["data"]
    return values


@pytest.mark.slow
def test_the_choice_is_made_once_told_everywhere_and_remembered(
    serve: Serve, tmp_path: Path
) -> None:
    with serve() as server, server.client() as client:
        chosen, why = told(client)
        assert chosen == "onnxruntime int8"
        assert "times as fast as onnxruntime fp32 on cpu (batch 1: " in why
        assert "onnxruntime int4 on cpu is out (exam)" in why
        assert f"m/1: onnxruntime int8 on cpu: {why}" in server.errors
        assert answer(client) == [3, 5]
    [entry] = (tmp_path / "cache").iterdir()
    before = entry.stat().st_mtime_ns
    with serve("--frontends", "2") as server, server.client() as client:
        assert {told(client) for _ in range(5)} == {(chosen, why)}, "every front end says the same"
    assert entry.stat().st_mtime_ns == before
    entry.write_text("{}")
    with serve() as server, server.client() as client:
        assert told(client)[0] == chosen
        assert server.errors.count(f"{entry.name} is ignored") == 1
    assert entry.stat().st_mtime_ns > before


@pytest.mark.slow
def test_the_operators_word_wins_and_a_place_that_cannot_be_written_only_warns(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("no folder")
    with serve() as server, server.client() as client:
        assert told(client)[0] == "onnxruntime int8"
        assert "what is chosen is not remembered" in server.errors
    with serve("--variant", "*=fp32") as server, server.client() as client:
        assert told(client) == ("onnxruntime fp32", "nothing else fulfils what is asked for here")
    with serve("--variant", "m=int4") as server, server.client() as client:
        assert "not served: m/1: golden exam" in server.errors
        assert client.get("/v2/models/m/ready").status_code == 503


@pytest.mark.slow
def test_rows_that_depend_on_each_other_are_run_one_by_one(
    serve: Serve, repository: Path, tmp_path: Path
) -> None:
    published(repository, "alone", tmp_path, {"int8": quick()}, is_row_independent=False)
    with serve() as server, server.client() as client:
        config = client.get("/v2/models/alone/config").json()
        assert config["parameters"]["precision"]["string_value"] == "int8"
        assert config["max_batch_size"] == 1
        assert client.get("/v2/models/m/config").json()["max_batch_size"] == 8


@pytest.mark.slow
@pytest.mark.skipif(not HAS_OPENVINO, reason="the openvino extra is not installed")
def test_another_runtime_gives_the_same_answers(serve: Serve) -> None:
    with serve("--variant", "m=openvino:fp32") as server, server.client() as client:
        assert told(client)[0] == "openvino fp32"
        assert client.get("/v2/models/m/config").json()["backend"] == "openvino"
        assert answer(client) == pytest.approx([3, 5], abs=1e-6)


@pytest.mark.skipif(HAS_OPENVINO, reason="the openvino extra is installed")
def test_a_runtime_that_is_not_installed_is_an_error_with_the_remedy(repository: Path) -> None:
    from models.bundle import open_bundle

    bundle = open_bundle(repository / "m" / "1")
    [choice, *_] = wanted(bundle.manifest, Wish(runtime="openvino"))
    with pytest.raises(RuntimeMissing, match="pip install"):
        ModelHost(HostOptions()).load(1, bundle, choice)
