"""JSON numbers, booleans and strings ↔ arrays, strictly: nothing is rounded, cast or guessed.

`struct` does the work: it refuses what does not fit (1.5 as an integer, 300 as a byte, 1e39 as float32)
and needs a fifth of numpy's time for a list of floats. numpy would truncate, wrap or parse strings.
"""

import math
import struct
from collections.abc import Sequence
from itertools import chain

import numpy as np

from models.datatypes import DataType, TypeInfo
from models.errors import InputError

_FORMATS = {
    DataType.INT8: "b", DataType.UINT8: "B", DataType.INT16: "h", DataType.UINT16: "H",
    DataType.INT32: "i", DataType.UINT32: "I", DataType.INT64: "q", DataType.UINT64: "Q",
    DataType.FLOAT16: "e", DataType.FLOAT: "f", DataType.DOUBLE: "d",
}  # fmt: skip
BINARY_ONLY = frozenset({DataType.BFLOAT16})
"""No parser writes them: numpy has no such type."""


def from_json(
    name: str, info: TypeInfo, shape: Sequence[int], data: object, *, may_hold_bools: bool
) -> np.ndarray:
    """`data`, nested or flat row-major, as an array of `shape`. Raises InputError naming the input.

    `may_hold_bools` false promises that no true or false is in it, which saves a look at every element.
    """
    flat = _flat(name, data, shape)
    if info.onnx is DataType.BOOL:
        _only(name, info, flat, bool)
        return np.array(flat, np.bool_).reshape(shape)
    if info.onnx is DataType.STRING:
        _only(name, info, flat, str)
        array = np.empty(len(flat), object)
        array[:] = flat
        return array.reshape(shape)
    if may_hold_bools and bool in set(map(type, flat)):
        raise InputError(f"input {name!r}: true and false are not {info.v2} values")
    try:
        packed = struct.pack(f"<{len(flat)}{_FORMATS[info.onnx]}", *flat)
    except (struct.error, OverflowError) as error:
        raise InputError(f"input {name!r}: a value is not {info.v2}: {error}") from error
    return np.frombuffer(packed, info.numpy).reshape(shape)


def to_json(array: np.ndarray) -> object:
    """Flat row-major data that orjson writes; non-finite floats become null, as JSON has no word for them."""
    if array.dtype == object:
        return array.ravel().tolist()
    return array.ravel()


def _flat(name: str, data: object, shape: Sequence[int]) -> list[object]:
    if not isinstance(data, list):
        raise InputError(f"input {name!r}: data must be a list")
    count = math.prod(shape)
    is_nested = bool(data) and isinstance(data[0], list)
    if not is_nested:
        if len(data) != count:
            raise InputError(
                f"input {name!r}: {len(data)} values for shape {list(shape)}, which has {count}"
            )
        return data
    level: list[object] = [data]
    for axis, size in enumerate(shape):
        for part in level:
            if not isinstance(part, list) or len(part) != size:
                raise InputError(
                    f"input {name!r}: data is not nested as shape {list(shape)} says (axis {axis})"
                )
        level = list(chain.from_iterable(level))  # type: ignore[arg-type]  # all are lists: just checked
    return level


def _only(name: str, info: TypeInfo, flat: list[object], kind: type) -> None:
    if set(map(type, flat)) - {kind}:
        raise InputError(f"input {name!r}: a value is not {info.v2}")
