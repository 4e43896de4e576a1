"""The classification extension: an output as its highest values, `value:index[:label]`, best first.

Values are compared as the output's own type; equal ones by index, lowest first; NaN comes last.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from models.blocks import ClassificationPostprocessing
from models.bundle import Bundle
from models.datatypes import DataType, float32_of
from models.manifest import TensorSpec

UNRANKED = frozenset({DataType.BOOL, DataType.STRING})
"""Element types without a highest value."""

Labels = Mapping[str, Sequence[str]]
"""Output name → a label for each of its classes."""


def labels_of(bundle: Bundle) -> Labels:
    """Raises IntegrityError."""
    block = bundle.manifest.postprocessing
    if not isinstance(block, ClassificationPostprocessing):
        return {}
    return {block.output: bundle.labels(block.labels)}


def classify(array: np.ndarray, spec: TensorSpec, count: int, labels: Sequence[str]) -> np.ndarray:
    """str [batch, count], or [count] for an output without batch; never more than there are classes.

    An item's further axes count as one: the index is that of the flat item.
    """
    if spec.batch_axis is None:
        rows = array.reshape(1, -1)
    else:
        rows = np.moveaxis(array, spec.batch_axis, 0)
        rows = rows.reshape(len(rows), -1)
    if spec.dtype is DataType.BFLOAT16:
        rows = float32_of(rows)
    texts = np.array([_best(row, count, labels) for row in rows], object)
    return texts.reshape(-1) if spec.batch_axis is None else texts


def _best(row: np.ndarray, count: int, labels: Sequence[str]) -> list[str]:
    # The reversed row makes a stable ascending sort put the lower index first among equals, once it
    # is read backwards. NaN sorts as highest, so it is lowered first.
    ranked = np.where(np.isnan(row), -np.inf, row) if row.dtype.kind == "f" else row
    order = len(row) - 1 - np.argsort(ranked[::-1], kind="stable")[::-1]
    return [_text(row[index], int(index), labels) for index in order[:count]]


def _text(value: np.generic, index: int, labels: Sequence[str]) -> str:
    found = str(value) + f":{index}"  # an f-string would show a float32 with a float64's digits
    return f"{found}:{labels[index]}" if index < len(labels) else found
