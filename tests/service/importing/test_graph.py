"""What a file says is read completely, wherever it hides it; what it cannot mean is refused."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models.datatypes import DataType
from models.errors import SlipwayError
from models.wire import FileDamaged, encode_bytes
from service.importing.errors import ImportRefused
from service.importing.graph import ELEMENTS, read_facts
from tests.service.importing import foreign

MODEL = foreign.linear().SerializeToString()


def facts_of(made: onnx.ModelProto) -> object:
    return read_facts(memoryview(made.SerializeToString()))


def test_inputs_outputs_and_weights_are_those_of_the_onnx_package() -> None:
    made = foreign.model(
        [helper.make_node("Add", ["a", "w"], ["y"])],
        [
            foreign.value("a", TensorProto.FLOAT16, ["N", 3, None]),
            foreign.value("s", TensorProto.STRING, []),
        ],
        [foreign.value("y", TensorProto.FLOAT16, None)],
        {"w": np.ones((3, 1), np.float16)},
        producer_name="somebody",
    )
    facts = read_facts(memoryview(made.SerializeToString()))
    assert [(v.name, v.dtype, v.shape) for v in facts.inputs] == [
        ("a", DataType.FLOAT16, ("N", 3, None)),
        ("s", DataType.STRING, ()),
    ]
    assert [(v.name, v.shape) for v in facts.outputs] == [("y", None)]
    assert [(t.name, t.dims, t.size_bytes) for t in facts.initializers] == [("w", (3, 1), 6)]
    assert (facts.producer, facts.opsets, dict(facts.operators)) == (
        "somebody",
        {"": 18},
        {"": {"Add"}},
    )


def test_every_element_type_of_ours_is_onnx_own() -> None:
    assert {getattr(TensorProto, kind.value): kind for kind in DataType} == ELEMENTS


def nested(depth: int) -> onnx.ModelProto:
    """If in If in If …"""
    body = helper.make_graph(
        [helper.make_node("Foreign", ["x"], ["y"], domain="hidden")],
        "g",
        [],
        [foreign.value("y", 1, None)],
    )
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
        body = helper.make_graph([node], "g", [], [foreign.value("y", 1, None)])
    node = body.node[0]
    return foreign.model(
        [node], [foreign.value("c", TensorProto.BOOL, [1])], [foreign.value("y", 1, None)]
    )


def test_operators_of_subgraphs_are_found_to_a_depth_that_nobody_needs() -> None:
    facts = read_facts(memoryview(nested(3).SerializeToString()))
    assert facts.operators["hidden"] == {"Foreign"}


def test_deeper_nesting_is_refused_before_it_can_exhaust_the_stack() -> None:
    inner = b""
    for _ in range(2_000):  # graph → node → attribute → graph …, by hand: no builder goes so deep
        inner = encode_bytes(1, encode_bytes(5, encode_bytes(6, inner)))
    data = b"\x08\x0a" + encode_bytes(7, inner)
    with pytest.raises(ImportRefused, match="levels deep"):
        read_facts(memoryview(data))


def external(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def weight(name: str = "w") -> onnx.TensorProto:
    return external(numpy_helper.from_array(np.ones(4, np.float32), name))


def in_an_attribute() -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=weight())
    return foreign.model([node], [foreign.value("x", 1, [1])], [foreign.value("y", 1, None)])


def in_a_subgraph() -> onnx.ModelProto:
    body = helper.make_graph([], "g", [], [foreign.value("w", 1, None)], [weight()])
    node = helper.make_node("If", ["c"], ["y"], then_branch=body, else_branch=body)
    return foreign.model([node], [foreign.value("c", 9, [1])], [foreign.value("y", 1, None)])


def in_sparse_values() -> onnx.ModelProto:
    made = foreign.linear()
    sparse = made.graph.sparse_initializer.add()
    sparse.values.CopyFrom(weight())
    return made


def in_sparse_indices() -> onnx.ModelProto:
    made = foreign.linear()
    sparse = made.graph.sparse_initializer.add()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(4, np.float32), "v"))
    sparse.indices.CopyFrom(weight())
    return made


def in_a_sparse_attribute() -> onnx.ModelProto:
    made = foreign.linear()
    attribute = made.graph.node[0].attribute.add(name="s", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.values.CopyFrom(weight())
    return made


def in_a_function() -> onnx.ModelProto:
    made = foreign.linear()
    node = helper.make_node("Constant", [], ["y"], value=weight())
    opset = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("own", "f", [], ["y"], [node], opset))
    return made


@pytest.mark.parametrize(
    "hide",
    [
        in_an_attribute,
        in_a_subgraph,
        in_sparse_values,
        in_sparse_indices,
        in_a_sparse_attribute,
        in_a_function,
    ],
)
def test_weights_elsewhere_are_taken_for_the_main_graphs_initializers_alone(hide: object) -> None:
    with pytest.raises(ImportRefused, match="in another file"):
        facts_of(hide())  # type: ignore[operator]


def test_a_size_that_is_not_what_is_stored_is_refused() -> None:
    made = foreign.linear()
    made.graph.initializer[0].dims[0] = 400
    with pytest.raises(FileDamaged, match="its shape takes"):
        facts_of(made)


def test_functions_of_the_file_itself_are_no_foreign_domain() -> None:
    made = foreign.linear()
    node = helper.make_node("Identity", ["a"], ["b"])
    opset = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("own", "f", ["a"], ["b"], [node], opset))
    assert read_facts(memoryview(made.SerializeToString())).own_domains == {"own"}


@given(st.integers(0, len(MODEL) - 1), st.integers(0, 255))
def test_a_changed_byte_is_harmless_or_refused(position: int, byte: int) -> None:
    data = bytearray(MODEL)
    data[position] = byte
    with contextlib.suppress(SlipwayError):
        read_facts(memoryview(bytes(data)))
