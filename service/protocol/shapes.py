"""Shapes of inputs against the manifest, before anything is made of them."""

import math
from collections.abc import Sequence

from models.datatypes import TypeInfo
from models.errors import InputError
from models.manifest import TensorSpec
from service.errors import BadRequest

_LARGEST_SIZE = 2**40  # of one axis; data must have as many values anyway


def checked_shape(spec: TensorSpec, shape: object, axes: dict[str, int]) -> list[int]:
    """The shape, once it fits the manifest. `axes` collects what each named axis is in this request.

    Raises InputError.
    """
    if not isinstance(shape, list) or len(shape) != len(spec.shape):
        raise InputError(f"input {spec.name!r}: shape must be a list of {len(spec.shape)} integers")
    for size, axis in zip(shape, spec.shape, strict=True):
        if type(size) is not int or not 0 < size <= _LARGEST_SIZE:
            raise InputError(f"input {spec.name!r}: shape must hold positive integers")
        wanted = axis if isinstance(axis, int) else axes.setdefault(axis, size)
        if size != wanted:
            raise InputError(
                f"input {spec.name!r}: axis {axis!r} is {size} in shape {shape}, expected {wanted}"
            )
    return shape


def raw_shape(spec: TensorSpec, info: TypeInfo, size_bytes: int) -> list[int]:
    """The shape of a raw request's only input, from its size: batch 1, at most one other axis free.

    Raises BadRequest where the model's signature leaves it open, InputError where the size does not fit.
    """
    shape = [1 if place == spec.batch_axis else axis for place, axis in enumerate(spec.shape)]
    free = [place for place, axis in enumerate(shape) if isinstance(axis, str)]
    if len(free) > 1:
        raise BadRequest(
            f"a raw body does not tell the shape of input {spec.name!r}: {len(free)} of its axes "
            "vary; send the JSON header too"
        )
    item_bytes = info.numpy.itemsize * math.prod(axis for axis in shape if isinstance(axis, int))
    if free:
        shape[free[0]] = size_bytes // item_bytes
    sizes = [int(size) for size in shape]
    if not size_bytes or size_bytes % item_bytes or (not free and size_bytes != item_bytes):
        wanted = f"a multiple of {item_bytes}" if free else str(item_bytes)
        raise InputError(f"input {spec.name!r}: the raw body has {size_bytes} bytes, not {wanted}")
    return sizes


def is_single_element(spec: TensorSpec) -> bool:
    """Whether a raw body can be this string input: one element, batch or not."""
    return rest(spec) in ((), (1,))


def rest(spec: TensorSpec) -> tuple[int | str, ...]:
    """The shape without the batch axis."""
    return tuple(axis for place, axis in enumerate(spec.shape) if place != spec.batch_axis)


def as_sizes(shape: Sequence[int | str]) -> list[int]:
    """What metadata shows: -1 where the size varies."""
    return [axis if isinstance(axis, int) else -1 for axis in shape]
