"""Rows asked one at a time, as a server asks a variant whose rows depend on each other."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.manifest import TensorSpec
from training.work import Array, Arrays, Predict


def one_by_one(predict: Predict, inputs: Sequence[TensorSpec]) -> Predict:
    """Each row without the padding that its batch gave it; answers that differ in length are padded with
    zeros again. The axis of the batch stands in front."""

    def ask(rows: Mapping[str, Array]) -> Arrays:
        count = len(next(iter(rows.values())))
        answers = [predict(_bare(rows, row, inputs)) for row in range(count)]
        return {name: _joined([answer[name] for answer in answers]) for name in answers[0]}

    return ask


def _bare(rows: Mapping[str, Array], row: int, inputs: Sequence[TensorSpec]) -> Arrays:
    """float or int [1, …], cut where every input that has the axis holds nothing but padding."""
    single = {name: array[row : row + 1] for name, array in rows.items()}
    for axis in sorted({name for spec in inputs for name in spec.pad_axes}):
        having = [(spec, spec.shape.index(axis)) for spec in inputs if axis in spec.pad_axes]
        used = max(_used(single[spec.name], place, spec.pad_value) for spec, place in having)
        for spec, place in having:
            index = [slice(None)] * single[spec.name].ndim
            index[place] = slice(0, used)
            single[spec.name] = np.ascontiguousarray(single[spec.name][tuple(index)])
    return single


def _used(array: Array, axis: int, fill: float) -> int:
    """Places up to the last that is no padding; at least one."""
    others = tuple(place for place in range(array.ndim) if place != axis)
    is_filled = (array != fill).any(axis=others)
    places = np.flatnonzero(is_filled)
    return int(places[-1]) + 1 if len(places) else 1


def _joined(answers: list[Array]) -> Array:
    shapes = {answer.shape for answer in answers}
    if len(shapes) == 1:
        return np.concatenate(answers)
    largest = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
    padded = [
        np.pad(answer, [(0, most - size) for most, size in zip(largest, answer.shape, strict=True)])
        for answer in answers
    ]
    return np.concatenate(padded)
