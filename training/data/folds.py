"""Folds for cross-validation: rows dealt into parts that are disjoint, alike in classes, and cover all.

Used by the works that `training.cross_validate` asks for their folds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.images import stratified_rows
from training.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FoldRows:
    """Ascending row numbers; together all rows, each once."""

    train: Rows
    validation: Rows
    test: Rows


def stratified_folds(labels: Rows, count: int, seed: int) -> tuple[Rows, ...]:
    """`count` folds of the rows of `labels` [N]. Sizes, and any class's share of them, differ by one at
    most. Raises DataError where there are fewer rows than folds.
    """
    if len(labels) < count:
        raise DataError(
            f"{count} folds of {len(labels)} training and validation items: set fewer folds"
        )
    generator = np.random.default_rng(seed)
    # Dealt like cards, class after class without a break: the next class goes on where the last ended.
    dealt = np.concatenate(
        [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    )
    return tuple(np.sort(dealt[number::count]).astype(np.int64) for number in range(count))


def fold_rows(
    labels: Rows, number: int, count: int, *, validation_fraction: float, seed: int
) -> FoldRows:
    """Fold `number` of `count`, from 0, is for judging; the rest is divided as without folds.

    The validation rows that choose weights and temperature come out of the rest, so that a fold's
    figure is of items its network had nothing to do with.
    """
    test = stratified_folds(labels, count, seed)[number]
    others = np.setdiff1d(np.arange(len(labels)), test)
    kept, held_out = stratified_rows(labels[others], validation_fraction, seed)
    return FoldRows(others[kept], others[held_out], test)


def grouped_fold_rows(
    groups: NDArray[Any], number: int, count: int, *, validation_fraction: float, seed: int
) -> FoldRows:
    """As `fold_rows`, with all rows of a group [N] in one part: questions about one passage, say, of which
    some would else be judged by what others taught of it. Folds are alike in groups, not in rows.
    """
    _, group_of_row = np.unique(groups, return_inverse=True)
    alike = np.zeros(int(group_of_row.max(initial=-1)) + 1, dtype=np.int64)
    chosen = fold_rows(alike, number, count, validation_fraction=validation_fraction, seed=seed)
    train, validation, test = (
        np.flatnonzero(np.isin(group_of_row, part)).astype(np.int64)
        for part in (chosen.train, chosen.validation, chosen.test)
    )
    return FoldRows(train, validation, test)
