"""Infer messages built by hand, byte for byte, so that the codec is not checked against itself."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from models.datatypes import BY_ONNX, DataType
from models.manifest import TensorSpec
from service.protocol.v2 import Encoded, V2Codec
from tests.service.manifests import manifest_of

Axes = tuple[int | str, ...]


def codec(dtype: DataType = DataType.FLOAT, shape: Axes = ("batch", 2)) -> V2Codec:
    """x → y of one type and shape."""
    return V2Codec(manifest_of([("x", dtype, shape)], [("y", dtype, shape)]))


def unbatched(dtype: DataType, shape: Axes) -> V2Codec:
    specs = [TensorSpec(name=n, dtype=dtype, shape=shape, batch_axis=None) for n in ("x", "y")]
    return V2Codec(manifest_of(specs[:1], specs[1:]))


def packed(array: np.ndarray) -> bytes:
    """The tensor as the extension describes it."""
    if array.dtype != object:
        return array.astype(array.dtype.newbyteorder("<")).tobytes()
    parts = [text if isinstance(text, bytes) else text.encode() for text in array.ravel()]
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def binary_input(name: str, array: np.ndarray, datatype: str, **changes: Any) -> dict[str, Any]:
    parameters = {"binary_data_size": len(packed(array))}
    entry = {"name": name, "shape": list(array.shape), "datatype": datatype}
    return {**entry, "parameters": parameters, **changes}


def message(
    inputs: Sequence[Mapping[str, Any]], *arrays: np.ndarray, **members: Any
) -> tuple[bytes, int]:
    """(body, length of its JSON)."""
    header = json.dumps({"inputs": list(inputs), **members}).encode()
    return header + b"".join(map(packed, arrays)), len(header)


def asked(array: np.ndarray, dtype: DataType, **members: Any) -> tuple[bytes, int]:
    """A request with one binary input x."""
    return message([binary_input("x", array, BY_ONNX[dtype.value].v2)], array, **members)


def answered(encoded: Encoded) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON, and the bytes of each output that came apart from it."""
    if encoded.header_bytes is None:
        return orjson.loads(encoded.body), {}
    document = orjson.loads(encoded.body[: encoded.header_bytes])
    position, tails = encoded.header_bytes, {}
    for output in document["outputs"]:
        if (size := output.get("parameters", {}).get("binary_data_size")) is not None:
            tails[output["name"]] = encoded.body[position : position + size]
            position += size
    assert position == len(encoded.body)
    return document, tails
