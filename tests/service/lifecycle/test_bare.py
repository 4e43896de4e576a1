"""A bare graph in the repository is a model like any other, or says why not; it cannot hurt the server."""

import gc
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.runtimes.base import LoadOutOfMemory, LoadTimeout
from service.lifecycle.bare import BareRefused, is_bare, open_bare
from service.settings import Settings
from tests.service import graphs
from tests.service.conftest import StartServer
from tests.service.importing import foreign
from tests.service.lifecycle.test_served_lifecycle import INPUT, constant
from tests.service.loops import in_loop


def settings(**given: object) -> Settings:
    return Settings(allow_bare_onnx=True, **given)  # type: ignore[arg-type]


def bare(repository: Path, name: str = "m", version: int = 3) -> Path:
    return foreign.save(foreign.linear(), repository / name / str(version) / "model.onnx").parent


def test_a_folder_with_a_manifest_is_not_bare(tmp_path: Path) -> None:
    assert is_bare(bare(tmp_path))
    assert not is_bare(tmp_path / "nothing")
    assert not is_bare(graphs.doubler().publish(tmp_path / "r", "m", tmp_path).path)


@in_loop
async def test_it_becomes_a_bundle_of_its_own_name_and_number_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    bundle = await open_bare(bare(tmp_path), settings())
    assert (bundle.name, bundle.version, bundle.manifest.task) == ("m", 3, "tensor")
    made = bundle.path
    assert made.is_dir()
    assert not (tmp_path / "m" / "3" / "manifest.json").exists(), "the repository is not written to"
    del bundle
    gc.collect()
    assert not made.exists()


@in_loop
async def test_without_leave_it_is_refused_with_both_remedies(tmp_path: Path) -> None:
    with pytest.raises(BareRefused, match=r"import-onnx.*--allow-bare-onnx"):
        await open_bare(bare(tmp_path), Settings())


@in_loop
async def test_a_graph_that_cannot_be_derived_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "m" / "1"
    foreign.save(foreign.unary("Relu", ("N", 0), ("N", 0)), folder / "model.onnx")
    with pytest.raises(BareRefused, match="m/1: input 'x' has an axis of size 0"):
        await open_bare(folder, settings())


@in_loop
async def test_a_small_file_that_wants_all_memory_ends_its_own_process_alone(
    tmp_path: Path,
) -> None:
    bomb = foreign.model(
        [
            helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "sum"], ["y"]),
        ],
        [foreign.value("x", TensorProto.FLOAT, ["N"])],
        [foreign.value("y", TensorProto.FLOAT, ["N"])],
        {"huge": np.array([2**33])},
    )
    file = foreign.save(bomb, tmp_path / "m" / "1" / "model.onnx")
    assert file.stat().st_size < 400
    with pytest.raises(LoadOutOfMemory, match=r"^m/1 wants more memory"):
        await open_bare(file.parent, settings())


@in_loop
async def test_one_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(LoadTimeout, match=r"0\.01 s"):
        await open_bare(bare(tmp_path), settings(load_timeout_s=0.01))


def test_a_server_serves_it_next_to_bundles(tmp_path: Path, start_server: StartServer) -> None:
    repository = tmp_path / "repository"
    folder = repository / "bare" / "2"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(constant(2).data)
    constant(1).publish(repository, "m", tmp_path)
    arguments = ["--repository", str(repository), "--allow-bare-onnx"]
    with start_server(*arguments) as server, server.client() as client:
        answer = client.post("/v2/models/bare/infer", json=INPUT).json()
        assert answer["model_version"] == "2"
        assert answer["outputs"][0]["data"] == [2, 2]
        assert client.get("/v2/models").json() == {"models": ["bare", "m"]}
