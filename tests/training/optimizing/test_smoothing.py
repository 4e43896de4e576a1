"""Smoothing changes no answer, and leaves no channel much larger than the others."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.optimizing.smoothing import smooth

WIDTH = 8
ROWS = [
    {"x": np.random.default_rng(seed).standard_normal((5, 3, WIDTH)).astype(np.float32)}
    for seed in range(2)
]


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Two products of the same values, of which one channel is a hundred times the others and one is nothing;
    one of what comes out; one of the input; and a weight that something else reads too."""
    random = np.random.default_rng(7)
    gain = np.ones(WIDTH, np.float32)
    gain[2], gain[5] = 100.0, 0.0
    arrays = {
        "gain": gain,
        **{name: random.standard_normal((WIDTH, WIDTH)).astype(np.float32) for name in "abcd"},
    }
    nodes = [
        helper.make_node("Mul", ["x", "gain"], ["loud"]),
        helper.make_node("MatMul", ["loud", "a"], ["left"]),
        helper.make_node("MatMul", ["loud", "b"], ["right"]),
        helper.make_node("Add", ["left", "right"], ["sum"]),
        helper.make_node("MatMul", ["sum", "c"], ["inner"]),
        helper.make_node("MatMul", ["x", "d"], ["outer"]),
        helper.make_node("Add", ["inner", "outer"], ["both"]),
        helper.make_node("ReduceMean", ["both"], ["flat"], axes=[1], keepdims=0),
        helper.make_node("Gemm", ["flat", "d"], ["y"]),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    imports = [helper.make_opsetid("", 13)]
    onnx.save_model(
        helper.make_model(made, opset_imports=imports, ir_version=10), tmp_path / "m.onnx"
    )
    return tmp_path / "m.onnx"


def run(file: Path, *names: str) -> list[np.ndarray]:
    model = onnx.load(file)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "y")
    session = ort.InferenceSession(model.SerializeToString())
    return [np.asarray(one) for one in session.run(list(names), ROWS[0])]


def test_answers_are_those_of_the_graph(graph: Path, tmp_path: Path) -> None:
    smooth(graph, ROWS, tmp_path / "s.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "s.onnx"), full_check=True)
    [wanted], [found] = run(graph, "y"), run(tmp_path / "s.onnx", "y")
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


def test_no_channel_is_much_larger_than_the_others_afterwards(graph: Path, tmp_path: Path) -> None:
    smooth(graph, ROWS, tmp_path / "s.onnx")
    [before], [after] = run(graph, "loud"), run(tmp_path / "s.onnx", "loud.smoothed")

    def contrast(values: np.ndarray) -> float:
        most = np.abs(values).reshape(-1, WIDTH).max(axis=0)
        return float(most.max() / np.median(most))

    assert contrast(before) > 50
    assert contrast(after) < 8


def test_products_of_the_same_values_share_what_divides_them(graph: Path, tmp_path: Path) -> None:
    smooth(graph, ROWS, tmp_path / "s.onnx")
    made = onnx.load(tmp_path / "s.onnx").graph
    products = [node for node in made.node if node.op_type == "MatMul"]
    assert [node.input[0] for node in products] == [
        "loud.smoothed", "loud.smoothed", "sum.smoothed", "x.smoothed",
    ]  # fmt: skip
    assert sum(node.op_type == "Mul" for node in made.node) == 1 + 3


def test_weights_that_nobody_reads_any_more_go_and_others_stay(graph: Path, tmp_path: Path) -> None:
    smooth(graph, ROWS, tmp_path / "s.onnx")
    names = {one.name for one in onnx.load(tmp_path / "s.onnx").graph.initializer}
    assert names.isdisjoint("abc")
    assert "d" in names, "the last layer reads it as it was"
