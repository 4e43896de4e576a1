"""ONNX files as others make them, built on the spot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Axes = Sequence[int | str | None] | None


def value(name: str, element: int, shape: Axes) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, np.ndarray] | None = None,
    **more: object,
) -> onnx.ModelProto:
    stored = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "foreign", list(inputs), list(outputs), stored)
    domains = {node.domain for node in nodes} - {""}
    opsets = [helper.make_opsetid("", 18), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, **more)


def linear(
    shape: Axes = ("N", 4), width: int = 3, out: Axes = ("N", 3), inner: int = 4
) -> onnx.ModelProto:
    """y = x·w"""
    weight = np.random.default_rng(1).standard_normal((inner, width)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, out)],
        {"w": weight},
    )


def unary(
    operator: str, shape: Axes = ("N", 4), out: Axes = ("N", 4), **more: object
) -> onnx.ModelProto:
    return model(
        [helper.make_node(operator, ["x"], ["y"], **more)],
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, out)],
    )


def picture_classifier(
    classes: int = 3,
    height: int | str = 8,
    width: int | str = 8,
    channels: int = 3,
    is_softmax: bool = False,
) -> onnx.ModelProto:
    """Mean over the pixels, then a linear layer, then perhaps a softmax."""
    weight = np.random.default_rng(2).standard_normal((channels, classes)).astype(np.float32)
    last = "scores" if is_softmax else "y"
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], [last]),
    ]
    if is_softmax:
        nodes.append(helper.make_node("Softmax", [last], ["y"]))
    return model(
        nodes,
        [value("image", TensorProto.FLOAT, ["N", channels, height, width])],
        [value("y", TensorProto.FLOAT, ["N", classes])],
        {"w": weight},
    )


def save(made: onnx.ModelProto, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.SerializeToString())
    return path


def save_outside(made: onnx.ModelProto, path: Path, location: str = "weights.bin") -> Path:
    """With its weights in a file beside it, as the onnx package does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(
        made, str(path), save_as_external_data=True, location=location, size_threshold=0
    )
    return path


def point(made: onnx.ModelProto, **entries: str) -> onnx.ModelProto:
    """The first weight of `made`, said to lie elsewhere."""
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, text in entries.items():
        tensor.external_data.add(key=key, value=text)
    return made
