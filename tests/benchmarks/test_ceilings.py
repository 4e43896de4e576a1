"""Ways are compared round by round, and compressed weights are those of the graph."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.ceilings import Way, compared, compress, table


def written(file: Path, kind: str, *shape: int) -> None:
    weight = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    imports = [helper.make_opsetid("", 18)]
    onnx.save_model(helper.make_model(graph, opset_imports=imports, ir_version=10), file)


def test_matrices_lie_in_eight_bits_and_mean_nearly_the_same(tmp_path: Path) -> None:
    written(tmp_path / "m.onnx", "MatMul", 16, 8)
    assert compress(tmp_path / "m.onnx", tmp_path / "c.onnx")
    kinds = {one.data_type for one in onnx.load(tmp_path / "c.onnx").graph.initializer}
    assert kinds == {TensorProto.INT8, TensorProto.FLOAT}
    x = np.random.default_rng(1).standard_normal((5, 16)).astype(np.float32)
    wanted, found = (
        ort.InferenceSession(tmp_path / name).run(None, {"x": x})[0]
        for name in ("m.onnx", "c.onnx")
    )
    gap = np.abs(wanted - found).max()
    assert 0 < gap < 0.02 * np.abs(wanted).max()


def test_convolutions_are_left_alone(tmp_path: Path) -> None:
    written(tmp_path / "m.onnx", "Conv", 4, 3, 3, 3)
    assert not compress(tmp_path / "m.onnx", tmp_path / "c.onnx")


def test_times_are_of_the_same_round_and_answers_of_the_reference() -> None:
    base, other = "onnxruntime fp32", "openvino bf16"
    took = {base: [2.0, 4.0], other: [1.0, 1.0]}
    right = np.eye(3, dtype=np.float32)
    answers = {base: right, other: right[[0, 1, 1]]}
    way = compared(other, took, answers)
    assert way == Way(other, [2.0, 4.0], pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert compared(base, took, answers) == Way(base, [1.0, 1.0], 1.0, 1.0)
    lines = table([way]).splitlines()
    assert lines[1].split() == ["openvino", "bf16", "3.00", "2.00", "–", "4.00", "0.66667", "0.667"]
