"""Graphs in fewer bits: what they hold, and that they still answer the same question."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from models.manifest import MODEL_FILE
from tests.training.optimizing.fake_subject import FEATURES, write_graph
from training.errors import ExportFailed
from training.predict import onnx_predict
from training.quantize import QUANTIZERS, quantize

ROWS = {"point": np.random.default_rng(0).standard_normal((64, FEATURES)).astype(np.float32)}
# Largest part of the answers' own size by which one may differ.
MOST = {
    "fp32-optimized": 1e-6,
    "fp16": 0.01,
    "int8-weight-only": 0.1,
    "int4-weight-only": 0.5,
}


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_graph(tmp_path / MODEL_FILE)
    return tmp_path / MODEL_FILE


@pytest.mark.parametrize("form", QUANTIZERS)
def test_answers_stay_near_and_inputs_and_outputs_keep_their_types(
    form: str, graph: Path, tmp_path: Path
) -> None:
    target = tmp_path / "variants" / f"{form}.onnx"
    quantize(form, graph, target)
    before, after = onnx.load(graph).graph, onnx.load(target).graph
    for side in ("input", "output"):
        old, new = getattr(before, side), getattr(after, side)
        assert [(one.name, one.type.tensor_type.elem_type) for one in old] == [
            (one.name, one.type.tensor_type.elem_type) for one in new
        ]
    expected = onnx_predict(graph)(ROWS)["logits"]
    difference = np.abs(onnx_predict(target)(ROWS)["logits"] - expected).max()
    assert difference <= MOST[form] * np.abs(expected).max()


def test_half_precision_holds_its_weights_in_sixteen_bits(graph: Path, tmp_path: Path) -> None:
    quantize("fp16", graph, tmp_path / "half.onnx")
    types = {weight.data_type for weight in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert types == {onnx.TensorProto.FLOAT16}


def test_what_cannot_be_read_is_one_line_and_no_file(graph: Path, tmp_path: Path) -> None:
    graph.write_bytes(graph.read_bytes()[:100])
    with pytest.raises(ExportFailed) as caught:
        quantize("int8-weight-only", graph, tmp_path / "small.onnx")
    assert "\n" not in caught.value.message
    assert not (tmp_path / "small.onnx").exists()
