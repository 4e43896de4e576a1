"""Texts with one class each, already split: what every text reader hands to text classification."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.data.folds import fold_rows


@dataclass(frozen=True)
class LabelledText:
    """One split. `labels` int64 [N] index into the data set's classes."""

    texts: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.int64]) -> "LabelledText":
        """The chosen rows, in the order given."""
        return LabelledText(tuple(self.texts[row] for row in rows), self.labels[rows])


@dataclass(frozen=True)
class TextData:
    """A data set: `validation` chooses and calibrates, `test` only judges."""

    name: str
    classes: tuple[str, ...]
    train: LabelledText
    validation: LabelledText
    test: LabelledText
    notes: tuple[str, ...] = ()  # what a reader of the run should know, e.g. rows left out

    def sha256(self) -> str:
        """Over classes and all splits, so that any change of data, split or order shows."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(split.labels.astype("<i8").tobytes())
            digest.update("\0".join(split.texts).encode())
        return digest.hexdigest()


def fold_of(
    data: TextData, number: int, count: int, *, validation_fraction: float, seed: int
) -> TextData:
    """`data` with fold `number` of `count` of what was not for testing in the place of the test."""
    everything = LabelledText(
        data.train.texts + data.validation.texts,
        np.concatenate([data.train.labels, data.validation.labels]),
    )
    rows = fold_rows(
        everything.labels, number, count, validation_fraction=validation_fraction, seed=seed
    )
    return replace(
        data,
        train=everything.take(rows.train),
        validation=everything.take(rows.validation),
        test=everything.take(rows.test),
    )


def encode_labels(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """int64 [N]. KeyError for a label that is no class; readers check before, naming the line."""
    index = {name: position for position, name in enumerate(classes)}
    return np.array([index[label] for label in labels], dtype=np.int64)
