"""The wire format of protocol buffers, read without copying and written back field by field.

Enough for ONNX files: no groups, no schema. Every length is checked against what is really there, and
nesting is the caller's recursion, so the caller bounds its depth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from models.errors import BundleError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_MOST_VARINT_BYTES = 10


class FileDamaged(BundleError):
    """Not a protobuf of the ONNX schema."""

    reason = "damaged"


@dataclass(frozen=True, slots=True)
class Field:
    """`value` of a varint; `data` of everything else, a view into the message. `raw`: tag and all."""

    number: int
    kind: int
    value: int
    data: memoryview
    raw: memoryview

    def text(self) -> str:
        """Raises FileDamaged when it is not UTF-8."""
        try:
            return str(self.data, "utf-8")
        except UnicodeDecodeError:
            raise FileDamaged("the file holds a name that is not UTF-8") from None


def fields(message: memoryview) -> Iterator[Field]:
    """In the order of the message. Raises FileDamaged."""
    position, size = 0, len(message)
    nothing = message[:0]
    while position < size:
        start = position
        tag, position = _varint(message, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise FileDamaged("the file is not an ONNX model: it has a field without a number")
        if kind == VARINT:
            value, position = _varint(message, position)
            yield Field(number, kind, value, nothing, message[start:position])
            continue
        if kind == BYTES:
            length, position = _varint(message, position)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise FileDamaged("the file is not an ONNX model: it has a field of an unknown kind")
        end = position + length
        if end > size:
            raise FileDamaged("the file is cut off, or not an ONNX model")
        yield Field(number, kind, 0, message[position:end], message[start:end])
        position = end


def numbers(field: Field) -> list[int]:
    """A repeated integer field, packed or not; signed as int64 is."""
    if field.kind == VARINT:
        return [_signed(field.value)]
    found, position = [], 0
    while position < len(field.data):
        value, position = _varint(field.data, position)
        found.append(_signed(value))
    return found


def encode_bytes(number: int, data: bytes | memoryview) -> bytes:
    """A length-delimited field."""
    return _encode_varint(number << 3 | BYTES) + _encode_varint(len(data)) + bytes(data)


def encode_number(number: int, value: int) -> bytes:
    return _encode_varint(number << 3 | VARINT) + _encode_varint(value)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    for byte in message[position : position + _MOST_VARINT_BYTES]:
        value |= (byte & 0x7F) << shift
        shift += 7
        position += 1
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
    raise FileDamaged("the file is cut off, or not an ONNX model")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _encode_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
