"""Only graphs that keep the slot contract, and cannot mix their callers, are opened."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from service.generation.graph import GraphRefused, open_graph
from tests.service.generation.conftest import VOCABULARY, TinyModel

Change = Callable[[onnx.ModelProto], None]


def test_exported_graph_is_described(tiny: TinyModel) -> None:
    graph = tiny.graph
    sizes = (graph.layers, graph.kv_heads, graph.head_size, graph.vocabulary)
    assert sizes == (2, 2, 16, VOCABULARY)
    assert graph.cache_dtype == np.float16
    assert graph.cache_names == ("0.key", "0.value", "1.key", "1.value")


def with_dynamic_quantisation(model: onnx.ModelProto) -> None:
    weight = next(entry for entry in model.graph.initializer if len(entry.dims) == 2)
    outputs = ["quantised", "scale", "zero"]
    node = helper.make_node("DynamicQuantizeLinear", [weight.name], outputs)
    model.graph.node.insert(0, node)


def without_dialect(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def of_another_version(model: onnx.ModelProto) -> None:
    helper.set_model_props(
        model, {"slipway.dialect": "slipway.slot", "slipway.dialect_version": "9"}
    )


def with_a_fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def with_a_fixed_cache_length(model: onnx.ModelProto) -> None:
    model.graph.input[4].type.tensor_type.shape.dim[2].dim_value = 64


def without_a_cache(model: onnx.ModelProto) -> None:
    del model.graph.output[1:]


def with_an_unknown_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["extra"]))
    model.graph.output.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, None))


@pytest.mark.parametrize(
    "change",
    [
        with_dynamic_quantisation,
        without_dialect,
        of_another_version,
        with_a_fixed_batch,
        with_a_fixed_cache_length,
        without_a_cache,
        with_an_unknown_output,
    ],
)
def test_graphs_that_break_the_contract_are_refused(tiny: TinyModel, change: Change) -> None:
    model = onnx.load_from_string(tiny.file)
    change(model)
    with pytest.raises(GraphRefused):
        open_graph(model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x08\x0a\x12"])
def test_damaged_files_are_refused(data: bytes) -> None:
    with pytest.raises(GraphRefused):
        open_graph(data)
