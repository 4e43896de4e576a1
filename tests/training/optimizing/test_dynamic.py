"""Dynamic int8: a scale per column, and layers given back where the budget asks for it."""

from pathlib import Path

import onnx
import pytest

from tests.training.optimizing.fake_subject import subject_in
from training.errors import ExportFailed
from training.optimizing import dynamic
from training.optimizing.static import QUICK, THOROUGH
from training.optimizing.targets import get

TARGET = get("onnxruntime:int8-dynamic")


def node_types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_every_product_has_a_scale_for_every_column(tmp_path: Path) -> None:
    found = dynamic.make(subject_in(tmp_path), TARGET, QUICK, lambda: "over", lambda _: None)
    file = tmp_path / str(TARGET.file)
    assert str(found) == ""
    assert node_types(file).count("MatMulInteger") == 3
    scales = [w for w in onnx.load(file).graph.initializer if w.name.endswith("_scale")]
    assert sorted(onnx.numpy_helper.to_array(scale).size for scale in scales) == [4, 16, 16]


def test_layers_are_given_back_until_the_budget_holds(tmp_path: Path) -> None:
    file = tmp_path / str(TARGET.file)

    def judge() -> str:
        return "" if "MatMul" in node_types(file) else "over budget"

    found = dynamic.make(subject_in(tmp_path), TARGET, THOROUGH, judge, lambda _: None)
    assert str(found) == "1 of 3 layers in fp32"
    assert node_types(file).count("MatMulInteger") == 2


def test_a_graph_without_products_is_one_line_and_no_file(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    model = onnx.load(subject.graph)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.append(onnx.helper.make_node("Relu", ["point"], ["logits"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    onnx.save_model(model, subject.graph)
    with pytest.raises(ExportFailed, match="no layer of this graph is a matrix product"):
        dynamic.make(subject, TARGET, QUICK, lambda: "", lambda _: None)
    assert not (tmp_path / str(TARGET.file)).exists()


def test_what_cannot_be_read_is_one_line_and_no_file(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    subject.graph.write_bytes(subject.graph.read_bytes()[:100])
    with pytest.raises(ExportFailed) as caught:
        dynamic.make(subject, TARGET, QUICK, lambda: "", lambda _: None)
    assert "\n" not in caught.value.message
