"""Operators that OpenVINO 2026.4.1 answers wrongly and says nothing, found by running the node tests of the
onnx package through it (tests/models/runtimes/openvino/test_onnx_nodes.py).

Most surprising: LSTM, GRU and RNN that are given the lengths of their rows read every row to the end of the
batch, padding included. Field numbers are those of the onnx.proto schema (https://github.com/onnx/onnx).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from models.runtimes.base import GraphRefused
from models.runtimes.openvino.external import CHILDREN, DEEPEST
from models.wire import BYTES, Field, fields, numbers


@dataclass
class Node:
    """`attributes`: whole numbers and texts; a list where the schema has one."""

    operator: str = ""
    inputs: list[bytes] = field(default_factory=list)
    attributes: dict[str, list[int] | bytes] = field(default_factory=dict)

    def number(self, name: str, default: int) -> int:
        values = self.attributes.get(name)
        return values[0] if isinstance(values, list) and values else default

    def numbers(self, name: str) -> list[int]:
        values = self.attributes.get(name, [])
        return values if isinstance(values, list) else []

    def text(self, name: str) -> bytes:
        value = self.attributes.get(name, b"")
        return value if isinstance(value, bytes) else b""


def check_operators(model: bytes) -> None:
    """Raises GraphRefused, or FileDamaged for bytes that are no protobuf."""
    for message in _nodes(memoryview(model), "model", 0):
        node = _read(message)
        complaint = _COMPLAINTS.get(node.operator, _right)(node)
        if complaint:
            raise GraphRefused(
                f"OpenVINO would answer wrongly: {node.operator} {complaint}; run this model with onnxruntime"
            )


def _right(_: Node) -> str:
    return ""


def _recurrent(node: Node) -> str:
    if any(node.inputs[4:5]):
        return "is given lengths, and the padding behind short rows would be read"
    return "has the batch first (layout 1)" if node.number("layout", 0) else ""


def _resize(node: Node) -> str:
    for name in ("antialias", "exclude_outside"):
        if node.number(name, 0):
            return f"asks for {name}, which is not done"
    policy = node.text("keep_aspect_ratio_policy")
    return "keeps the aspect ratio, which is not done" if policy not in (b"", b"stretch") else ""


def _pooling(node: Node) -> str:
    """A window that would begin behind the picture and its padding is dropped by ONNX alone."""
    kernel = node.numbers("kernel_shape")
    strides = node.numbers("strides") or [1] * len(kernel)
    pads = node.numbers("pads") or [0] * (2 * len(kernel))
    may_be_dropped = any(
        pad + stride > size
        for size, stride, pad in zip(kernel, strides, pads[len(kernel) :], strict=False)
    )
    is_rounded_up = node.number("ceil_mode", 0) == 1
    return "may have a window too many (ceil_mode)" if is_rounded_up and may_be_dropped else ""


def _attention(node: Node) -> str:
    windows = ("left_window_size", "right_window_size")
    is_windowed = any(node.number(name, -1) >= 0 for name in windows)
    return "looks through a window, which is ignored" if is_windowed else ""


def _transform(node: Node) -> str:
    return "is one-sided, and gets another shape" if node.number("onesided", 0) else ""


def _shift(_: Node) -> str:
    return "of signed numbers shifts their sign, and beyond their width"


def _regions(node: Node) -> str:
    return "takes maxima, and interpolates them otherwise" if node.text("mode") == b"max" else ""


def _blocks(node: Node) -> str:
    return "takes its blocks in another order" if node.text("mode") == b"CRD" else ""


_COMPLAINTS: Mapping[str, Callable[[Node], str]] = {
    "Attention": _attention,
    "AveragePool": _pooling,
    "BitShift": _shift,
    "DFT": _transform,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "LpPool": _pooling,
    "MaxPool": _pooling,
    "RNN": _recurrent,
    "Resize": _resize,
    "RoiAlign": _regions,
    "SpaceToDepth": _blocks,
}


def _nodes(message: memoryview, kind: str, depth: int) -> Iterator[memoryview]:
    """Of the graph, its subgraphs and its functions."""
    if depth > DEEPEST:
        raise GraphRefused(f"the graph nests more than {DEEPEST} levels deep")
    for entry in fields(message):
        child = CHILDREN[kind].get(entry.number) if entry.kind == BYTES else None
        if child is None or child in ("tensor", "sparse"):
            continue
        if child == "node":
            yield entry.data
        yield from _nodes(entry.data, child, depth + 1)


def _read(message: memoryview) -> Node:
    node = Node()
    for entry in fields(message):
        if entry.number == 1:
            node.inputs.append(bytes(entry.data))
        elif entry.number == 4:
            node.operator = entry.text()
        elif entry.number == 5:
            name, value = _attribute(entry)
            if value is not None:
                node.attributes[name] = value
    return node


def _attribute(message: Field) -> tuple[str, list[int] | bytes | None]:
    name, value, whole = "", None, list[int]()
    for entry in fields(message.data):
        if entry.number == 1:
            name = entry.text()
        elif entry.number in (3, 8):  # i, ints
            whole += numbers(entry)
        elif entry.number == 4:  # s
            value = bytes(entry.data)
    return name, whole or value
