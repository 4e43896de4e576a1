"""Arrays ↔ arena: where each tensor of a batch lies, as fixed binary records in model order.

Names do not cross: both sides hold the manifest, so position says which tensor it is. STRING tensors are
laid out as V2's binary BYTES (uint32 length, UTF-8 bytes, per element).

Batches of a model come in few shapes, so each side remembers its views of the memory by shape: that halves
what a small batch costs. A view stays good when the arena grows, because the old mapping shows the same
pages.
"""

import math
import struct
from collections.abc import Sequence

import numpy as np

from models.datatypes import TYPES, DataType, TypeInfo
from service.workers.arena import ALIGN_BYTES, Arena, ArenaError

_RECORD = struct.Struct(
    "<BBxxxxxxQQ"
)  # element type, rank, offset, size in bytes; then rank × int64
_LENGTH = struct.Struct("<I")
_DIMENSIONS = tuple(struct.Struct(f"<{rank}q") for rank in range(33))
_CODES = {info.onnx: code for code, info in enumerate(TYPES)}


_MOST_REMEMBERED = 256


class TensorWriter:
    """Fills one arena. `model` tells signatures apart; the same one always has the same types."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._known: dict[tuple[object, ...], tuple[bytes, list[np.ndarray]]] = {}

    def write(self, model: int, arrays: Sequence[np.ndarray], types: Sequence[TypeInfo]) -> bytes:
        """Copy the arrays into the arena; returns their records."""
        key = (model, *(array.shape for array in arrays))
        known = self._known.get(key)
        if known is None:
            known = self._lay_out(key, arrays, types)
            if known is None:
                return write_tensors(arrays, types, self._arena)
        records, targets = known
        for array, target in zip(arrays, targets, strict=True):
            if array is not target:  # else it was computed there
                target[...] = array
        return records

    def room(
        self, model: int, shapes: Sequence[tuple[int, ...]], types: Sequence[TypeInfo]
    ) -> list[np.ndarray] | None:
        """Where arrays of those shapes will lie: who computes them into it spares `write` the copy. None
        where the size depends on the values."""
        key = (model, *shapes)
        known = self._known.get(key)
        if known is None:
            nothing = [np.zeros((), info.numpy) for info in types]
            arrays = [np.broadcast_to(one, at) for one, at in zip(nothing, shapes, strict=True)]
            known = self._lay_out(key, arrays, types)
        return None if known is None else known[1]

    def _lay_out(
        self, key: tuple[object, ...], arrays: Sequence[np.ndarray], types: Sequence[TypeInfo]
    ) -> tuple[bytes, list[np.ndarray]] | None:
        """None where the size depends on the values."""
        if any(info.onnx is DataType.STRING for info in types):
            return None
        records = write_tensors(arrays, types, self._arena)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        made = self._known[key] = (records, read_tensors(memoryview(records), self._arena))
        return made


class TensorReader:
    """Reads one arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._known: dict[bytes, list[np.ndarray]] = {}

    def read(self, records: memoryview) -> list[np.ndarray]:
        """As `read_tensors`."""
        key = bytes(records)
        arrays = self._known.get(key)
        if arrays is None:
            arrays = read_tensors(records, self._arena)
            # Strings are values, not views, and would be the last batch's.
            if all(array.dtype.hasobject is False for array in arrays):
                if len(self._known) >= _MOST_REMEMBERED:
                    self._known.clear()
                self._known[key] = arrays
        return arrays


def write_tensors(arrays: Sequence[np.ndarray], types: Sequence[TypeInfo], arena: Arena) -> bytes:
    """Copy the arrays into the arena; returns their records."""
    raw = [
        pack_strings(array) if info.onnx is DataType.STRING else array
        for array, info in zip(arrays, types, strict=True)
    ]
    offsets, end = [], 0
    for array in raw:
        offsets.append(end)
        end += -(-array.nbytes // ALIGN_BYTES) * ALIGN_BYTES
    memory = arena.writable(end)
    records = bytearray()
    for array, source, info, offset in zip(arrays, raw, types, offsets, strict=True):
        target = np.frombuffer(memory, source.dtype, source.size, offset)
        target.reshape(source.shape)[...] = source
        records += _RECORD.pack(_CODES[info.onnx], array.ndim, offset, source.nbytes)
        records += _DIMENSIONS[array.ndim].pack(*array.shape)
    return bytes(records)


def read_tensors(records: memoryview, arena: Arena) -> list[np.ndarray]:
    """Views into the arena, valid until the writer uses it again. Raises ArenaError on nonsense."""
    arrays: list[np.ndarray] = []
    position = 0
    try:
        while position < len(records):
            code, rank, offset, size_bytes = _RECORD.unpack_from(records, position)
            position += _RECORD.size
            shape = _DIMENSIONS[rank].unpack_from(records, position)
            position += 8 * rank
            arrays.append(_read(TYPES[code], shape, offset, size_bytes, arena))
    except (struct.error, LookupError, UnicodeDecodeError) as error:
        raise ArenaError(f"records that are none: {error}") from error
    return arrays


def _read(
    info: TypeInfo, shape: tuple[int, ...], offset: int, size_bytes: int, arena: Arena
) -> np.ndarray:
    memory = arena.readable(offset + size_bytes)
    if info.onnx is DataType.STRING:
        return unpack_strings(memory[offset : offset + size_bytes], shape)
    count = math.prod(shape)
    if min(shape, default=1) < 0 or count * info.numpy.itemsize != size_bytes:
        raise ArenaError(f"shape {shape} does not fill {size_bytes} bytes")
    return np.frombuffer(memory, info.numpy, count, offset).reshape(shape)


def pack_strings(array: np.ndarray) -> np.ndarray:
    """uint8 [bytes] with a length before each element."""
    parts: list[bytes] = []
    for text in array.ravel():
        data = text if isinstance(text, bytes) else str(text).encode()
        parts += (_LENGTH.pack(len(data)), data)
    return np.frombuffer(b"".join(parts), np.uint8)


def unpack_strings(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """Object array of str. Raises ArenaError when the lengths do not add up."""
    texts: list[str] = []
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            raise ArenaError("a string's length is cut off")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4 + length
        if position > len(data):
            raise ArenaError("a string is cut off")
        texts.append(data[position - length : position].decode())
    if len(texts) != math.prod(shape):
        raise ArenaError(f"{len(texts)} strings for shape {shape}")
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)
