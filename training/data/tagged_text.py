"""Sentences with a tag for every word, already split: what readers hand to token classification."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.transforms.tags import OUTSIDE, read_tag
from training.data.folds import fold_rows


@dataclass(frozen=True)
class TaggedSentence:
    """`tags` are BIO, one for every word. Words are kept as the file has them."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


Sentences = tuple[TaggedSentence, ...]


@dataclass(frozen=True)
class TaggedData:
    """A data set: `validation` chooses and calibrates, `test` only judges."""

    name: str
    labels: tuple[str, ...]  # O first, then B-X and I-X of every type
    train: Sentences
    validation: Sentences
    test: Sentences
    notes: tuple[str, ...] = ()  # what a reader of the run should know

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(read_tag(label).type for label in self.labels if label.startswith("B-"))

    def sha256(self) -> str:
        """Over tags and all splits, so that any change of data, split or order shows."""
        digest = hashlib.sha256("\0".join(self.labels).encode())
        for split in (self.train, self.validation, self.test):
            for sentence in split:
                digest.update("\0".join((*sentence.words, *sentence.tags, "\n")).encode())
        return digest.hexdigest()


def fold_of(
    data: TaggedData, number: int, count: int, *, validation_fraction: float, seed: int
) -> TaggedData:
    """`data` with fold `number` of `count` of what was not for testing in the place of the test.

    Folds are alike in sentences with no entity and in sentences that begin with one of each type.
    """
    everything = data.train + data.validation
    firsts = [
        next((tag for tag in sentence.tags if tag != OUTSIDE), OUTSIDE) for sentence in everything
    ]
    numbers = np.array([data.labels.index(tag) for tag in firsts], dtype=np.int64)
    rows = fold_rows(numbers, number, count, validation_fraction=validation_fraction, seed=seed)
    parts = (rows.train, rows.validation, rows.test)
    train, validation, test = (tuple(everything[row] for row in part) for part in parts)
    return replace(data, train=train, validation=validation, test=test)


def bio_labels(splits: Iterable[Sequence[TaggedSentence]]) -> tuple[str, ...]:
    """O, then B-X and I-X for every type that occurs, by name."""
    types = {
        read_tag(tag).type for split in splits for sentence in split for tag in set(sentence.tags)
    }
    return (
        OUTSIDE,
        *(f"{prefix}-{kind}" for kind in sorted(types - {""}) for prefix in ("B", "I")),
    )
