"""External weights of an ONNX graph, handed to a runtime that would look for them in files.

OpenVINO's ONNX front end opens whatever path a graph names, relative to the process's own folder or not, and
reads any address that a graph names under the marker of ONNX Runtime for weights in memory. So no place that
a graph names ever reaches it: every tensor that lies elsewhere is found, wherever it hides, and told to be
at the address of bytes whose checksum was verified. Anything else that points out of the graph is refused.

Field numbers are those of the onnx.proto schema (https://github.com/onnx/onnx).
"""

import math
from collections.abc import Mapping

import numpy as np

from models.runtimes.base import GraphRefused
from models.wire import BYTES, encode_bytes, encode_number, fields, numbers

MEMORY = "*/_ORT_MEM_ADDR_/*"
"""As a location: "offset" is an address in this process. See openvino pull request 31632."""

# Message → fields that may hold tensors, and what each of them is.
CHILDREN: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_DIMS, _ELEMENT, _NAME, _EXTERNAL, _LOCATION = 1, 2, 8, 13, 14
_IS_EXTERNAL = 1  # TensorProto.DataLocation
DEEPEST = 64
# TensorProto.DataType → bits of an element; strings (8) never lie outside.
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128,
    16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4,
}  # fmt: skip


def with_weights_in_memory(model: bytes, weights: Mapping[str, bytes]) -> bytes:
    """The same graph with addresses into `weights`, which must live until the runtime has read it.

    Raises GraphRefused for a tensor that points anywhere else, FileDamaged for bytes that are no protobuf.
    """
    changed = _message(memoryview(model), "model", weights, 0)
    return model if changed is None else changed


def _message(
    message: memoryview, kind: str, weights: Mapping[str, bytes], depth: int
) -> bytes | None:
    """None where nothing is external."""
    if depth > DEEPEST:
        raise GraphRefused(f"the graph nests more than {DEEPEST} levels deep")
    parts: list[bytes | memoryview] = []
    is_changed = False
    for entry in fields(message):
        child = CHILDREN[kind].get(entry.number) if entry.kind == BYTES else None
        if child is None:
            new = None
        elif child == "tensor":
            new = _tensor(entry.data, weights)
        else:
            new = _message(entry.data, child, weights, depth + 1)
        parts.append(entry.raw if new is None else encode_bytes(entry.number, new))
        is_changed = is_changed or new is not None
    return b"".join(parts) if is_changed else None


def _tensor(message: memoryview, weights: Mapping[str, bytes]) -> bytes | None:
    name, element, is_external = "", 0, False
    dims: list[int] = []
    where: dict[str, str] = {}
    kept: list[memoryview] = []
    for entry in fields(message):
        if entry.number == _EXTERNAL:
            key, value = _pair(entry.data)
            where[key] = value
            continue
        if entry.number == _LOCATION:
            is_external = is_external or entry.value == _IS_EXTERNAL
            continue
        kept.append(entry.raw)
        if entry.number == _DIMS:
            dims += numbers(entry)
        elif entry.number == _ELEMENT:
            element = entry.value
        elif entry.number == _NAME:
            name = entry.text()
    if not (where or is_external):
        return None
    data = _file(name, where, weights)
    address, length = _address(name, where, _size_bytes(name, element, dims), data)
    new = {"location": MEMORY, "offset": str(address), "length": str(length)}
    entries = [_encode_pair(key, value) for key, value in new.items()]
    return b"".join([*kept, *entries, encode_number(_LOCATION, _IS_EXTERNAL)])


def _file(name: str, where: Mapping[str, str], weights: Mapping[str, bytes]) -> bytes:
    data = weights.get(where.get("location", ""))
    if data is None:
        raise GraphRefused(
            f"tensor {name!r} lies in {where.get('location', '')[:128]!r}, which is not one of the bundle's "
            f"weight files ({', '.join(sorted(weights)) or 'it has none'})"
        )
    return data


def _address(name: str, where: Mapping[str, str], size_bytes: int, data: bytes) -> tuple[int, int]:
    """Where the tensor's bytes lie in this process, and how many they are."""
    offset = _number(name, where.get("offset", "0"))
    length = _number(name, where.get("length", str(len(data) - offset)))
    if length != size_bytes or offset + length > len(data):
        raise GraphRefused(
            f"tensor {name!r} takes {size_bytes} bytes; its external data is {length} bytes at {offset} "
            f"in a file of {len(data)}"
        )
    return int(np.frombuffer(data, np.uint8).ctypes.data) + offset, length


def _size_bytes(name: str, element: int, dims: list[int]) -> int:
    if element not in _BITS or any(size < 0 for size in dims):
        raise GraphRefused(f"tensor {name!r} is of a kind that cannot lie in another file")
    return -(-math.prod(dims) * _BITS[element] // 8)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise GraphRefused(f"tensor {name!r}: {text[:32]!r} is not a number of bytes")
    return int(text)


def _pair(message: memoryview) -> tuple[str, str]:
    key = value = ""
    for entry in fields(message):
        if entry.number == 1:
            key = entry.text()
        elif entry.number == 2:
            value = entry.text()
    return key, value


def _encode_pair(key: str, value: str) -> bytes:
    return encode_bytes(_EXTERNAL, encode_bytes(1, key.encode()) + encode_bytes(2, value.encode()))
