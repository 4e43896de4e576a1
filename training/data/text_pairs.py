"""Texts that belong together, already split: what readers hand to sentence embedding and similarity.

Three kinds: `positive` pairs mean the same or answer each other, `scored` pairs say how much, and
`triplet`s add a text that does not belong.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.folds import grouped_fold_rows

Kind = Literal["positive", "scored", "triplet"]


@dataclass(frozen=True)
class Pairs:
    """One split of N rows. `scores` float32 [N] of scored pairs; `negatives` of triplets; else empty."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    negatives: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.first)

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text once, in the order in which they occur."""
        return tuple(dict.fromkeys((*self.first, *self.second, *self.negatives)))

    def take(self, rows: NDArray[np.int64]) -> "Pairs":
        """The chosen rows, in the order given."""
        return Pairs(
            tuple(self.first[row] for row in rows),
            tuple(self.second[row] for row in rows),
            self.scores[rows] if len(self.scores) else self.scores,
            tuple(self.negatives[row] for row in rows) if self.negatives else (),
        )


@dataclass(frozen=True)
class PairData:
    """A data set: `validation` chooses, `test` only judges. `graded`: scored pairs to judge by besides,
    where the rows for training have no scores."""

    name: str
    kind: Kind
    train: Pairs
    validation: Pairs
    test: Pairs
    graded: Pairs | None = None
    notes: tuple[str, ...] = ()

    @property
    def score_range(self) -> tuple[float, float]:
        """Least and highest score of the training rows."""
        scores = self.train.scores
        return (float(scores.min()), float(scores.max())) if len(scores) else (0.0, 1.0)

    def sha256(self) -> str:
        """Over all splits, so that any change of data, split or order shows."""
        digest = hashlib.sha256(self.kind.encode())
        for split in (self.train, self.validation, self.test, self.graded or Pairs((), ())):
            for texts in (split.first, split.second, split.negatives):
                digest.update("\0".join(texts).encode() + b"\1")
            digest.update(split.scores.astype("<f4").tobytes())
        return digest.hexdigest()


def fold_of(
    data: PairData, number: int, count: int, *, validation_fraction: float, seed: int
) -> PairData:
    """`data` with fold `number` of `count` of what was not for testing in the place of the test; all
    rows with the same first text stay together."""
    parts = (data.train, data.validation)
    everything = Pairs(
        data.train.first + data.validation.first,
        data.train.second + data.validation.second,
        np.concatenate([part.scores for part in parts]),
        data.train.negatives + data.validation.negatives,
    )
    places = {text: place for place, text in enumerate(everything.first)}
    groups = np.array([places[text] for text in everything.first], dtype=np.int64)
    rows = grouped_fold_rows(
        groups, number, count, validation_fraction=validation_fraction, seed=seed
    )
    return replace(
        data,
        train=everything.take(rows.train),
        validation=everything.take(rows.validation),
        test=everything.take(rows.test),
    )
