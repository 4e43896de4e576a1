"""Reading the JSON forms of instances: base64 pictures, texts, nested numbers."""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from models.datatypes import BY_ONNX
from models.errors import InputError
from models.manifest import TensorSpec

T = TypeVar("T")
R = TypeVar("R")

_DATA_URL = re.compile(r"data:[\w.+/-]{0,100};base64,")
_FILE_MEMBERS = ("b64", "image")


def read_file_bytes(value: object) -> bytes:
    """Bytes from base64 text, a data URL, or `{"b64": …}` / `{"image": …}`. Raises InputError."""
    if isinstance(value, Mapping):
        members = [name for name in _FILE_MEMBERS if name in value]
        if len(value) != 1 or not members:
            raise InputError('a picture in JSON is base64 text or {"b64": "…"}')
        value = value[members[0]]
    if not isinstance(value, str):
        raise InputError(f"a picture in JSON is base64 text, not {_kind(value)}")
    prefix = _DATA_URL.match(value)
    text = value[prefix.end() :] if prefix else value
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: characters outside ASCII
        raise InputError("the picture is not valid base64") from error
    if not data:
        raise InputError("the picture is empty")
    return data


def read_each(values: Sequence[T], read: Callable[[T], R], before: int = 0) -> list[R]:
    """`read` of every value. Raises InputError naming the place of the first wrong one in its request,
    behind `before` others; one that is alone needs no name."""
    instances = []
    for index, value in enumerate(values, before):
        try:
            instances.append(read(value))
        except InputError as error:
            if before + len(values) > 1:
                raise InputError(f"instance {index}: {error.message}") from error
            raise
    return instances


def read_text(value: object, member: str) -> str:
    """The text itself, or `{member: text}` as TF Serving's clients send it. Raises InputError."""
    if isinstance(value, Mapping) and set(value) == {member}:
        value = value[member]
    if not isinstance(value, str):
        raise InputError(f"{member} must be a string, not {_kind(value)}")
    return value


def decode_text(data: bytes, member: str) -> str:
    """UTF-8 text of a raw body. Raises InputError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"the {member} is not UTF-8 (byte {error.start})") from error


def read_tensor(value: object, spec: TensorSpec) -> np.ndarray:
    """One item (no batch axis) of a graph input from nested lists. Raises InputError naming the input.

    Integers must be whole and within the type; flat lists are accepted where the shape is fixed.
    """
    info = BY_ONNX[spec.dtype]
    try:
        array = np.asarray(value, dtype=object if info.onnx == "STRING" else None)
    except ValueError as error:
        raise InputError(f"input {spec.name!r}: the lists are ragged") from error
    array = _cast(array, spec)
    wanted = item_shape(spec)
    if all(isinstance(axis, int) for axis in wanted) and array.ndim <= 1:
        count = math.prod(axis for axis in wanted if isinstance(axis, int))
        if array.size == count:
            return array.reshape([axis for axis in wanted if isinstance(axis, int)])
    fits = array.ndim == len(wanted) and all(
        isinstance(axis, str) or axis == size
        for axis, size in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        raise InputError(
            f"input {spec.name!r}: shape {list(array.shape)} does not fit {list(wanted)}"
        )
    return array


def item_shape(spec: TensorSpec) -> tuple[int | str, ...]:
    """The input's shape without its batch axis."""
    return tuple(axis for position, axis in enumerate(spec.shape) if position != spec.batch_axis)


def _cast(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    info = BY_ONNX[spec.dtype]
    kind, target = array.dtype.kind, info.numpy.kind
    if info.onnx == "BFLOAT16":
        raise InputError(f"input {spec.name!r}: bfloat16 travels in binary form only")
    if target == "O":
        if any(not isinstance(element, str) for element in array.ravel()):
            raise InputError(f"input {spec.name!r}: must hold strings")
        return array
    allowed = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[target]
    if kind not in allowed and array.size:
        raise InputError(f"input {spec.name!r}: must hold {_plural(target)}")
    if target in "iu" and array.size:
        limits = np.iinfo(info.numpy.name)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise InputError(f"input {spec.name!r}: a value is outside {info.v2}")
    with np.errstate(over="ignore"):
        result = array.astype(info.numpy)
    if target == "f" and not np.isfinite(result).all():
        raise InputError(f"input {spec.name!r}: a value is outside {info.v2}")
    return result


def _plural(kind: str) -> str:
    return {"b": "booleans", "i": "integers", "u": "integers", "f": "numbers"}[kind]


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else "that")
