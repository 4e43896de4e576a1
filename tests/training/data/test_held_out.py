from dataclasses import dataclass

import pytest

from training.data.held_out import three_splits
from training.data.images import SplitName
from training.errors import DataError


@dataclass(frozen=True)
class Row:
    split: SplitName
    number: int


def rows(split: SplitName, count: int) -> list[Row]:
    return [Row(split, number) for number in range(count)]


def test_named_splits_are_kept() -> None:
    parts, note = three_splits(
        "d", rows("train", 5) + rows("validation", 2) + rows("test", 1), 0.1, 0
    )
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [5, 2, 1]
    assert note == "as the data say"


def test_what_is_missing_is_drawn_without_overlap_and_by_the_seed() -> None:
    parts, note = three_splits("d", rows("train", 50), 0.1, 3)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [36, 4, 10]
    assert sorted(row.number for part in parts.values() for row in part) == list(range(50))
    assert note == "no test pictures given: 20% held out, seed 3"
    assert three_splits("d", rows("train", 50), 0.1, 3)[0] == parts
    assert three_splits("d", rows("train", 50), 0.1, 4)[0] != parts


def test_a_single_held_out_part_is_what_figures_come_from() -> None:
    parts, _ = three_splits("d", rows("train", 20) + rows("validation", 5), 0.1, 0)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [18, 2, 5]


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(DataError, match="d: 2 pictures to learn from, at least 3 are needed"):
        three_splits("d", rows("train", 2), 0.1, 0)
