"""Tensors as bytes: little-endian, row-major, packed, as the binary tensor extension writes them.

BOOL is one byte, 0 or 1. BYTES is a uint32 length and the bytes, per element. Reading copies nothing but
strings: an array is a view into the request's body, read-only and perhaps not aligned.
"""

import math
import struct
from collections.abc import Sequence

import numpy as np

from models.datatypes import DataType, TypeInfo
from models.errors import InputError

_LENGTH = struct.Struct("<I")
_COPIED_BYTES = 4096  # up to here a copy is quicker than a view


def from_bytes(
    name: str, info: TypeInfo, shape: Sequence[int], body: bytes, start: int, size: int
) -> np.ndarray:
    """`size` bytes of `body` from `start`, which must be there, as an array. Raises InputError."""
    count = math.prod(shape)
    if info.onnx is DataType.STRING:
        return _strings(name, body[start : start + size], count).reshape(shape)
    if size != count * info.numpy.itemsize:
        raise InputError(
            f"input {name!r}: {size} bytes for shape {list(shape)} of {info.v2}, "
            f"which has {count * info.numpy.itemsize}"
        )
    array = np.frombuffer(body, info.numpy, count, start)
    if info.onnx is DataType.BOOL and array.view(np.uint8).max() > 1:
        raise InputError(f"input {name!r}: a BOOL is a byte of 0 or 1")
    return array.reshape(shape)


def text(name: str, data: bytes) -> str:
    """ONNX Runtime keeps strings as UTF-8 text, so no other bytes can be taken. Raises InputError."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"input {name!r}: an element is not UTF-8 text (byte {error.start}); encode it, for "
            "example with base64"
        ) from error


def to_bytes(array: np.ndarray) -> bytes | memoryview:
    """Something with the tensor's bytes; large ones are not copied where they lie in row-major order."""
    if array.dtype == object:
        parts: list[bytes] = []
        for element in array.ravel():
            data = element if isinstance(element, bytes) else str(element).encode()
            parts += (_LENGTH.pack(len(data)), data)
        return b"".join(parts)
    if array.nbytes < _COPIED_BYTES:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _strings(name: str, data: bytes, count: int) -> np.ndarray:
    # Each element has four bytes at least: checked first, so that a shape cannot ask for memory.
    if len(data) < count * _LENGTH.size:
        raise InputError(f"input {name!r}: {len(data)} bytes cannot hold {count} strings")
    array = np.empty(count, object)
    position, end = 0, len(data)
    for index in range(count):
        if position + _LENGTH.size > end:
            raise InputError(f"input {name!r}: the length of element {index} is cut off")
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        if length > end - position:
            raise InputError(
                f"input {name!r}: element {index} has {length} bytes by its length, "
                f"{end - position} are left"
            )
        array[index] = text(name, data[position : position + length])
        position += length
    if position != end:
        raise InputError(f"input {name!r}: {end - position} bytes follow the last of {count}")
    return array
