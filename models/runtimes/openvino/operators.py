"""Operators that OpenVINO answers wrongly and says nothing.

LSTM, GRU and RNN with lengths of their rows: 2026.4.1 reads every row to the end of the batch, padding
included, wherever the sizes of the graph are free. (Where no lengths are given it is right.) Field numbers
are those of the onnx.proto schema (https://github.com/onnx/onnx).
"""

from collections.abc import Iterator

from models.runtimes.base import GraphRefused
from models.runtimes.openvino.external import CHILDREN, DEEPEST
from models.wire import BYTES, fields

_RECURRENT = {"LSTM", "GRU", "RNN"}
_LENGTHS = 4  # which input
_INPUT, _OPERATOR = 1, 4  # of NodeProto


def check_operators(model: bytes) -> None:
    """Raises GraphRefused, or FileDamaged for bytes that are no protobuf."""
    if not any(name.encode() in model for name in _RECURRENT):
        return
    for node in _nodes(memoryview(model), "model", 0):
        inputs, operator = [], ""
        for entry in fields(node):
            if entry.number == _INPUT:
                inputs.append(bytes(entry.data))
            elif entry.number == _OPERATOR:
                operator = entry.text()
        if operator in _RECURRENT and any(inputs[_LENGTHS : _LENGTHS + 1]):
            raise GraphRefused(
                f"OpenVINO does not heed the lengths that {operator} is given and would read the padding "
                "behind short rows; run this model with onnxruntime"
            )


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
