"""How large outputs will be, before a run: what a runtime needs to write them where they are wanted."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.manifest import TensorSpec


def output_shapes(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    arrays: Mapping[str, np.ndarray],
) -> dict[str, tuple[int, ...]] | None:
    """By the manifest's axes: the same name means the same size. None when one does not follow."""
    sizes: dict[str, int] = {}
    for spec in inputs:
        for axis, size in zip(spec.shape, arrays[spec.name].shape, strict=True):
            if isinstance(axis, str):
                sizes[axis] = size
    found: dict[str, tuple[int, ...]] = {}
    for spec in outputs:
        shape = [axis if isinstance(axis, int) else sizes.get(axis) for axis in spec.shape]
        known = [size for size in shape if size is not None]
        if len(known) < len(shape):
            return None
        found[spec.name] = tuple(known)
    return found
