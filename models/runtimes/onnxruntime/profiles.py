"""The shapes that TensorRT builds its engine for, from the manifest's axes and batching.

An engine holds for a range of each axis and is tuned for one point in it. Without a range the provider takes
the shapes as they come, and builds the engine again, which takes minutes, whenever one lies outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.manifest import TensorSpec
from models.runtimes.graph import Sizes

_USUAL_SHARE = 4  # texts are mostly much shorter than the longest that is allowed


@dataclass(frozen=True)
class ShapeProfile:
    """One size per axis and input: the smallest, the one to be fastest at, the largest."""

    names: tuple[str, ...]
    least: tuple[tuple[int, ...], ...]
    best: tuple[tuple[int, ...], ...]
    most: tuple[tuple[int, ...], ...]

    @staticmethod
    def text(names: Sequence[str], shapes: Sequence[Sequence[int]]) -> str:
        """As the provider takes it: `ids:1x16,mask:1x16`."""
        parts = (
            f"{name}:{'x'.join(map(str, shape))}" for name, shape in zip(names, shapes, strict=True)
        )
        return ",".join(parts)


def profile_of(inputs: Sequence[TensorSpec], sizes: Sizes) -> ShapeProfile | None:
    """None where nothing varies, or where the bundle does not say how far an axis goes: the provider
    wants all varying inputs or none."""
    varying = [spec for spec in inputs if _varies(spec)]
    ranges = [
        [_range(spec, position, sizes) for position in range(len(spec.shape))] for spec in varying
    ]
    found = [[one for one in axes if one is not None] for axes in ranges]
    if not varying or [len(axes) for axes in found] != [len(axes) for axes in ranges]:
        return None
    least, best, most = (
        tuple(tuple(axis[place] for axis in axes) for axes in found) for place in range(3)
    )
    return ShapeProfile(tuple(spec.name for spec in varying), least, best, most)


def _varies(spec: TensorSpec) -> bool:
    return any(isinstance(axis, str) for axis in spec.shape)


def _range(spec: TensorSpec, position: int, sizes: Sizes) -> tuple[int, int, int] | None:
    axis = spec.shape[position]
    if isinstance(axis, int):
        return axis, axis, axis
    if position == spec.batch_axis:
        allowed = sizes.allowed_batch_sizes or (1, sizes.max_batch_size)
        return allowed[0], allowed[-1], allowed[-1]
    longest = sizes.longest.get(axis)
    return None if longest is None else (1, max(1, longest // _USUAL_SHARE), longest)
