"""Static int8: the best calibrator, sensitive layers left alone, and only as many as must be."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.training.optimizing.fake_subject import subject_in
from training.errors import DataError, ExportFailed
from training.optimizing import static
from training.optimizing.giving_back import Found
from training.optimizing.static import QUICK, THOROUGH
from training.optimizing.targets import get

TARGET = get("onnxruntime:int8-static")


def node_types(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def products_in_floating_point(path: Path) -> set[str]:
    """Products that read a weight as it was."""
    graph = onnx.load(path).graph
    floats = {w.name for w in graph.initializer if w.data_type == onnx.TensorProto.FLOAT}
    return {
        node.name
        for node in graph.node
        if node.op_type in ("MatMul", "Gemm") and floats & set(node.input)
    }


def test_the_file_holds_pairs_of_quantize_and_dequantize(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    found = static.make(subject, TARGET, QUICK, lambda: "", lambda _: None)
    file = tmp_path / str(TARGET.file)
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(node_types(file))
    assert found == Found("minmax", 3, ())
    assert products_in_floating_point(file) == set()


def test_all_calibrators_are_tried_and_one_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    found = static.make(subject_in(tmp_path), TARGET, THOROUGH, lambda: "", said.append)
    tried = {words.rpartition(", ")[2] for words in said}
    assert tried == {calibrator.name for calibrator in THOROUGH.calibrators}
    assert found.calibrator in tried


def test_the_layers_that_do_the_harm_are_left_in_floating_point(tmp_path: Path) -> None:
    """Both: the one that makes the values and the one that reads them."""
    subject = subject_in(tmp_path, is_spoiled=True)
    file = tmp_path / str(TARGET.file)

    def judge() -> str:
        return "" if len(products_in_floating_point(file)) == 2 else "over budget"

    found = static.make(subject, TARGET, THOROUGH, judge, lambda _: None)
    assert set(found.left_alone) == {"first-product", "second-product"}
    assert products_in_floating_point(file) == {"first-product", "second-product"}
    assert "2 of 3 layers in fp32" in str(found)


def test_a_quick_search_leaves_no_layer_alone(tmp_path: Path) -> None:
    found = static.make(subject_in(tmp_path), TARGET, QUICK, lambda: "over", lambda _: None)
    assert found.left_alone == ()


def test_a_budget_that_nothing_meets_ends_with_one_layer_in_int8(tmp_path: Path) -> None:
    found = static.make(subject_in(tmp_path), TARGET, THOROUGH, lambda: "over", lambda _: None)
    assert len(found.left_alone) == 2


def test_no_rows_leave_no_file(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    subject.calibration = list  # type: ignore[method-assign]
    with pytest.raises(DataError, match="no rows to calibrate with"):
        static.make(subject, TARGET, QUICK, lambda: "", lambda _: None)
    assert not (tmp_path / str(TARGET.file)).exists()


def test_rows_of_another_shape_are_an_error_and_leave_no_file(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    subject.calibration = lambda: [{"point": np.zeros((8, 5), np.float32)}]  # type: ignore[method-assign]
    with pytest.raises(DataError, match="calibration rows: 'point' has shape"):
        static.make(subject, TARGET, QUICK, lambda: "", lambda _: None)
    assert not (tmp_path / str(TARGET.file)).exists()


def test_a_graph_without_products_cannot_be_made(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    model = onnx.load(subject.graph)
    shift = onnx.helper.make_node("Relu", ["point"], ["logits"])
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.append(shift)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 8
    onnx.save_model(model, subject.graph)
    with pytest.raises(ExportFailed, match="no layer of this graph"):
        static.make(subject, TARGET, QUICK, lambda: "", lambda _: None)


@pytest.mark.parametrize(
    ("node", "passes"), [("Relu", True), ("LayerNormalization", False), ("Softmax", False)]
)
def test_values_pass_on_in_int8_only_where_nothing_needs_floats(node: str, passes: bool) -> None:
    graph = onnx.helper.make_graph([onnx.helper.make_node(node, ["x"], ["y"])], "g", [], [])
    assert ("Add" in static.op_types(graph)) == passes


def test_choosing_rows_are_not_calibrating_rows() -> None:
    batches = [{"x": np.full((1, 1), number)} for number in range(8)]
    learning, choosing = static._two_parts(batches)
    assert [int(batch["x"][0, 0]) for batch in choosing] == [3, 7]
    assert len(learning) == 6
    [first], [last] = static._two_parts([{"x": np.arange(16)}])
    assert not set(first["x"].tolist()) & set(last["x"].tolist())


def test_nodes_without_names_are_told_apart(tmp_path: Path) -> None:
    """Names are optional in ONNX; leaving one nameless node alone must not leave all of them alone."""
    subject = subject_in(tmp_path)
    model = onnx.load(subject.graph)
    for node in model.graph.node:
        node.name = ""
    onnx.save_model(model, subject.graph)
    found = static.make(subject, TARGET, THOROUGH, lambda: "over", lambda _: None)
    assert len(set(found.left_alone)) == 2
    assert len(products_in_floating_point(tmp_path / str(TARGET.file))) == 2


def test_products_of_two_activations_stay_in_floating_point(tmp_path: Path) -> None:
    """Attention: rows against rows. Only what reads a weight is computed in int8."""
    subject = subject_in(tmp_path)
    model = onnx.load(subject.graph)
    [last] = [node for node in model.graph.node if "logits" in node.output]
    last.output[0] = "before"
    model.graph.node.extend(
        [
            onnx.helper.make_node("Transpose", ["before"], ["turned"], perm=[1, 0]),
            onnx.helper.make_node("MatMul", ["before", "turned"], ["rows"], name="attention"),
            onnx.helper.make_node("Softmax", ["rows"], ["shares"], axis=-1),
            onnx.helper.make_node("MatMul", ["shares", "before"], ["logits"], name="mixing"),
        ]
    )
    onnx.save_model(model, subject.graph)
    file = tmp_path / str(TARGET.file)
    for effort in (QUICK, THOROUGH):
        static.make(subject, TARGET, effort, lambda: "over", lambda _: None)
        graph = onnx.load(file).graph
        makers = {name: node.op_type for node in graph.node for name in node.output}
        [attention] = [node for node in graph.node if node.name == "attention"]
        [mixing] = [node for node in graph.node if node.name == "mixing"]
        read = {makers[name] for node in (attention, mixing) for name in node.input}
        assert "DequantizeLinear" not in read
        assert "DequantizeLinear" in makers.values()
