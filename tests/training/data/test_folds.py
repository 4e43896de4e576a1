"""Folds are disjoint, cover everything, are alike in classes, and the same for the same seed."""

import numpy as np
import pytest

from training.data.folds import fold_rows, grouped_fold_rows, stratified_folds
from training.errors import DataError

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [50, 31, 17, 2]))


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_folds_are_disjoint_cover_everything_and_are_alike(count: int) -> None:
    folds = stratified_folds(LABELS, count, seed=1)
    assert len(folds) == count
    assert sorted(np.concatenate(folds)) == list(range(len(LABELS)))
    sizes = [len(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in range(4):
        members = [int((LABELS[fold] == label).sum()) for fold in folds]
        assert max(members) - min(members) <= 1


def test_a_fold_is_judged_on_what_it_neither_learns_from_nor_chooses_by() -> None:
    tests = []
    for number in range(5):
        rows = fold_rows(LABELS, number, 5, validation_fraction=0.2, seed=3)
        parts = np.concatenate([rows.train, rows.validation, rows.test])
        assert sorted(parts) == list(range(len(LABELS)))
        assert len(rows.test) == 20
        assert set(LABELS[rows.validation]) >= {0, 1, 2}
        assert abs(len(rows.validation) - 16) <= 2
        tests.append(rows.test)
    assert sorted(np.concatenate(tests)) == list(range(len(LABELS)))


def test_a_group_lies_in_one_part_and_every_group_is_judged_once() -> None:
    groups = np.random.default_rng(0).integers(0, 12, size=60)
    judged: list[int] = []
    for number in range(3):
        rows = grouped_fold_rows(groups, number, 3, validation_fraction=0.2, seed=0)
        parts = (rows.train, rows.validation, rows.test)
        assert sorted(np.concatenate(parts)) == list(range(60))
        members = [set(groups[part]) for part in parts]
        assert sum(map(len, members)) == len(set(groups))
        assert all(members)
        judged += members[2]
    assert sorted(judged) == sorted(set(groups))


def test_folds_follow_the_seed() -> None:
    first, again, other = (stratified_folds(LABELS, 4, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one, same) for one, same in zip(first, again, strict=True))
    assert not all(np.array_equal(one, same) for one, same in zip(first, other, strict=True))


def test_more_folds_than_items_are_refused() -> None:
    with pytest.raises(DataError, match="5 folds of 3"):
        stratified_folds(np.zeros(3, dtype=np.int64), 5, seed=0)
