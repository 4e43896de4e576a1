"""Graphs too large for one file keep their weights beside them, and nothing else changes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from training import graph_file
from training.graph_file import graph_bytes, load_graph, move_graph, save_graph, weights_file
from training.predict import onnx_predict


def product(seed: int) -> onnx.ModelProto:
    weights = np.random.default_rng(seed).normal(size=(32, 32)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 32])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(params=[1000, 1 << 30])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(graph_file, "ONE_FILE_BYTES", request.param)
    found: int = request.param
    return found


def test_weights_lie_beside_the_graph_where_it_would_be_too_large(
    limit: int, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    save_graph(product(1), path)
    assert weights_file(path).is_file() == (limit == 1000)
    assert graph_bytes(path) > 4096
    x = np.ones((2, 32), np.float32)
    expected = x @ numpy_helper.to_array(product(1).graph.initializer[0])
    assert np.allclose(onnx_predict(path)({"x": x})["y"], expected, atol=1e-5)


def test_a_moved_graph_replaces_another_with_its_weights(limit: int, tmp_path: Path) -> None:
    old, new = tmp_path / "model.onnx", tmp_path / "new.onnx"
    save_graph(product(1), old)
    save_graph(product(2), new)
    move_graph(new, old)
    assert {path.name for path in tmp_path.iterdir()} == (
        {"model.onnx", "model.onnx.data"} if limit == 1000 else {"model.onnx"}
    )
    [found], [expected] = load_graph(old).graph.initializer, product(2).graph.initializer
    assert np.array_equal(numpy_helper.to_array(found), numpy_helper.to_array(expected))


def test_writing_anew_leaves_no_weights_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    monkeypatch.setattr(graph_file, "ONE_FILE_BYTES", 1000)
    save_graph(product(1), path)
    monkeypatch.undo()
    save_graph(product(1), path)
    assert not weights_file(path).exists()
