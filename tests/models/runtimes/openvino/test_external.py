"""No place that a graph names reaches the runtime: weights come from verified bytes, or not at all."""

import ctypes

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models.runtimes.base import GraphRefused
from models.wire import FileDamaged, encode_bytes, encode_number
from tests.service import graphs

pytest.importorskip("openvino")
from models.runtimes.openvino.external import MEMORY, with_weights_in_memory

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)
FILES = {"model.onnx.data": b"\0" * 16 + VALUES.tobytes() + b"more"}


def outside(
    location: str = "model.onnx.data",
    *,
    dims: tuple[int, ...] = (4, 3),
    element: int = 1,
    **more: object,
) -> TensorProto:
    tensor = TensorProto(name="w", dims=dims, data_type=element, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def initializer(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "g", [], [], initializer=[tensor])


def in_attribute(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "g", [], [])


def in_subgraph(tensor: TensorProto) -> onnx.GraphProto:
    branch = initializer(tensor)
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    return helper.make_graph([node], "g", [], [])


def in_sparse(tensor: TensorProto) -> onnx.GraphProto:
    graph = helper.make_graph([], "g", [], [])
    indices = numpy_helper.from_array(np.array([0]), "i")
    graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [4]))
    return graph


def bytes_of(graph: onnx.GraphProto) -> bytes:
    return helper.make_model(graph).SerializeToString()


def in_function(tensor: TensorProto) -> bytes:
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    function = helper.make_function("my", "F", [], ["c"], [node], [helper.make_opsetid("", 18)])
    empty = helper.make_graph([], "g", [], [])
    return helper.make_model(empty, functions=[function]).SerializeToString()


def in_training(tensor: TensorProto) -> bytes:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    model.training_info.add().initialization.CopyFrom(initializer(tensor))
    return model.SerializeToString()


PLACES = {
    "initializer": lambda tensor: bytes_of(initializer(tensor)),
    "attribute": lambda tensor: bytes_of(in_attribute(tensor)),
    "subgraph": lambda tensor: bytes_of(in_subgraph(tensor)),
    "sparse tensor": lambda tensor: bytes_of(in_sparse(tensor)),
    "function": in_function,
    "training": in_training,
}


def entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def test_a_graph_without_external_weights_is_left_as_it_is() -> None:
    data = graphs.mlp(8, 4).data
    assert with_weights_in_memory(data, {}) is data


def test_a_name_that_looks_like_one_changes_nothing() -> None:
    tensor = numpy_helper.from_array(VALUES, "location")
    data = bytes_of(initializer(tensor))
    assert with_weights_in_memory(data, {}) is data


def test_weights_are_found_at_the_address_of_the_bytes() -> None:
    data = with_weights_in_memory(bytes_of(initializer(outside(offset=16, length=48))), FILES)
    [tensor] = onnx.load_from_string(data).graph.initializer
    where = entries(tensor)
    assert where["location"] == MEMORY
    seen = ctypes.string_at(int(where["offset"]), int(where["length"]))
    np.testing.assert_array_equal(np.frombuffer(seen, np.float32).reshape(4, 3), VALUES)
    assert (tensor.name, list(tensor.dims), tensor.data_type) == ("w", [4, 3], 1)


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found_wherever_they_hide(place: str) -> None:
    data = with_weights_in_memory(PLACES[place](outside(offset=16, length=48)), FILES)
    assert b"model.onnx.data" not in data
    assert MEMORY.encode() in data


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../model.onnx.data", "other.data", "", MEMORY, "./model.onnx.data"],
)
def test_any_other_place_is_refused_wherever_it_hides(place: str, location: str) -> None:
    with pytest.raises(GraphRefused, match="not one of the bundle's weight files"):
        with_weights_in_memory(PLACES[place](outside(location, offset=16, length=48)), FILES)


@pytest.mark.parametrize(
    "more",
    [
        {"offset": 24, "length": 48},
        {"offset": 16, "length": 44},
        {"offset": 16, "length": 52},
        {"offset": 16},
        {"offset": "-4", "length": 48},
        {"offset": "0x10", "length": 48},
        {"offset": 10**15 - 1, "length": 48},
        {"offset": 16, "length": 48, "dims": (4, -3)},
        {"offset": 16, "length": 48, "dims": (4, 4)},
        {"offset": 16, "length": 48, "element": TensorProto.STRING},
        {"offset": 16, "length": 48, "element": TensorProto.DOUBLE},
    ],
)  # fmt: skip
def test_sizes_that_do_not_add_up_are_refused(more: dict[str, object]) -> None:
    tensor = outside(**more)  # type: ignore[arg-type]
    with pytest.raises(GraphRefused):
        with_weights_in_memory(bytes_of(initializer(tensor)), FILES)


def test_a_tensor_without_a_length_takes_the_rest_of_its_file() -> None:
    data = bytes_of(initializer(outside(dims=(5,), offset=48)))
    [tensor] = onnx.load_from_string(with_weights_in_memory(data, FILES)).graph.initializer
    assert entries(tensor)["length"] == "20"


def test_four_bit_weights_take_half_a_byte_each() -> None:
    tensor = outside(dims=(5,), element=TensorProto.INT4, offset=16, length=3)
    data = with_weights_in_memory(bytes_of(initializer(tensor)), FILES)
    [made] = onnx.load_from_string(data).graph.initializer
    assert entries(made)["length"] == "3"


def test_a_second_place_cannot_be_slipped_in_behind_the_first() -> None:
    """Parsers merge repeated messages: an attribute's tensor may come in two pieces."""
    node = helper.make_node("Constant", [], ["c"], value=outside(offset=16, length=48))
    evil = TensorProto()
    evil.external_data.add(key="location", value="/etc/passwd")
    piece = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=evil)
    attribute = node.attribute[0].SerializeToString() + piece.SerializeToString()
    bare = onnx.NodeProto(op_type="Constant", output=["c"]).SerializeToString()
    body = encode_bytes(1, bare + encode_bytes(5, attribute))
    data = encode_number(1, 10) + encode_bytes(7, body)
    [merged] = onnx.load_from_string(data).graph.node[0].attribute
    assert [entry.value for entry in merged.t.external_data][-1] == "/etc/passwd"
    with pytest.raises(GraphRefused, match="not one of the bundle's weight files"):
        with_weights_in_memory(data, FILES)


def test_nesting_has_an_end() -> None:
    graph = initializer(outside(offset=16, length=48))
    for _ in range(25):
        node = helper.make_node("Loop", ["x"], ["y"], body=graph)
        graph = helper.make_graph([node], "g", [], [])
    with pytest.raises(GraphRefused, match="levels deep"):
        with_weights_in_memory(bytes_of(graph), FILES)


@given(st.integers(0, 400), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_harmless(position: int, value: int) -> None:
    data = bytearray(bytes_of(in_subgraph(outside(offset=16, length=48))))
    data[position % len(data)] = value
    try:
        made = with_weights_in_memory(bytes(data), FILES)
    except (GraphRefused, FileDamaged):
        return
    if MEMORY.encode() in made:
        begin = np.frombuffer(FILES["model.onnx.data"], np.uint8).ctypes.data
        for offset, length in _addresses(made):
            assert begin <= offset <= offset + length <= begin + len(FILES["model.onnx.data"])


def _addresses(data: bytes) -> list[tuple[int, int]]:
    try:
        model = onnx.load_from_string(data)
    except Exception:  # protobuf's own class; what cannot be parsed is read by nobody
        return []
    found = []
    for node in model.graph.node:
        for attribute in node.attribute:
            for tensor in attribute.g.initializer:
                where = entries(tensor)
                if where.get("location") == MEMORY:
                    found.append((int(where["offset"]), int(where["length"])))
    return found
