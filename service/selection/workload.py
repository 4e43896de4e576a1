"""What candidates are timed on: the exam's inputs, cut and repeated to the sizes that requests come in.

A single item and a batch; where an axis may be padded, both at a short and at a longer length.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from models.bundle import Bundle
from models.manifest import Manifest, TensorSpec
from models.runtimes.base import Arrays
from service.exam import read_golden
from service.workers.width import sample

_LARGE_BATCH = 8  # beyond that the cost of an item hardly changes, and timing takes long
_SHORT, _LONG = 16, 96  # tokens: a sentence, a paragraph


class Workload(NamedTuple):
    """`rows` items as one run takes them; `one` is the first of them alone."""

    name: str
    rows: int
    inputs: Arrays
    one: Arrays


def workloads(bundle: Bundle) -> list[Workload]:
    """From the smallest to the largest; empty where there is nothing to measure with."""
    golden = read_golden(bundle)
    inputs = sample(bundle) if golden is None else golden.inputs
    if inputs is None:
        return []
    return list(_made(bundle.manifest, inputs))


def _made(manifest: Manifest, inputs: Arrays) -> Iterator[Workload]:
    specs = manifest.inputs
    for rows in _row_counts(manifest):
        for length in _lengths(manifest, inputs):
            name = f"batch {rows}" + (f" × {length}" if length else "")
            sized = {spec.name: _sized(inputs[spec.name], spec, rows, length) for spec in specs}
            one = {spec.name: _sized(inputs[spec.name], spec, 1, length) for spec in specs}
            yield Workload(name, rows, sized, one)


def _row_counts(manifest: Manifest) -> list[int]:
    batched = [spec for spec in manifest.inputs if spec.batch_axis is not None]
    fixed = {spec.shape[spec.batch_axis or 0] for spec in batched}
    sizes = {size for size in fixed if isinstance(size, int)}
    if sizes:
        return [max(sizes)]
    most = min(_LARGE_BATCH, manifest.batching.max_batch_size) if batched else 1
    return sorted({1, most})


def _lengths(manifest: Manifest, inputs: Arrays) -> list[int]:
    """Of the axes that may be padded; [0] where there are none."""
    own = [inputs[spec.name].shape[axis] for spec in manifest.inputs for axis in _padded_axes(spec)]
    if not own:
        return [0]
    most = getattr(manifest.preprocessing, "max_tokens", None)
    if not isinstance(most, int):  # nothing says how long it may be: no longer than in the exam
        return sorted({max(1, max(own) // 2), max(own)})
    return sorted({min(_SHORT, most), min(_LONG, most)})


def _padded_axes(spec: TensorSpec) -> list[int]:
    return [axis for axis, size in enumerate(spec.shape) if size in spec.pad_axes]


def _sized(array: np.ndarray, spec: TensorSpec, rows: int, length: int) -> np.ndarray:
    """Cut, or repeated from the start, along the batch and the padded axes."""
    if spec.batch_axis is not None:
        array = _repeated(array, spec.batch_axis, rows)
    for axis in _padded_axes(spec):
        array = _repeated(array, axis, length)
    return np.ascontiguousarray(array)


def _repeated(array: np.ndarray, axis: int, size: int) -> np.ndarray:
    repeated: np.ndarray = array.take(np.arange(size) % array.shape[axis], axis)
    return repeated
