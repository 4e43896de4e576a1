"""Which pictures are learned from, validated with and judged on, where a data set does not name all three.

Used by the readers whose pictures have many labels, or a whole mask, and so no classes to stratify by.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from training.data.images import SplitName
from training.data.labelled_pictures import TEST_FRACTION
from training.errors import DataError

_LEAST = 3  # pictures: one each to learn from, to validate and to test


class HasSplit(Protocol):
    @property
    def split(self) -> SplitName: ...


PictureT = TypeVar("PictureT", bound=HasSplit)


def three_splits(
    where: str, pictures: Sequence[PictureT], validation_fraction: float, seed: int
) -> tuple[dict[SplitName, list[PictureT]], str]:
    """Split → its pictures, none empty, and how the test pictures came about.

    With a single held-out part the figures come from it; with none, 20 % are drawn. Raises DataError.
    """
    parts: dict[SplitName, list[PictureT]] = {"train": [], "validation": [], "test": []}
    for picture in pictures:
        parts[picture.split].append(picture)
    note = "as the data say"
    if not parts["test"] and parts["validation"]:
        parts["test"], parts["validation"] = parts["validation"], []
        note = "the data's validation pictures"
    needed = _LEAST - bool(parts["test"]) - bool(parts["validation"])
    if len(parts["train"]) < needed:
        raise DataError(
            f"{where}: {len(parts['train'])} pictures to learn from, at least {needed} are needed"
        )
    if not parts["test"]:
        parts["train"], parts["test"] = _cut(parts["train"], TEST_FRACTION, seed)
        note = f"no test pictures given: {TEST_FRACTION:.0%} held out, seed {seed}"
    if not parts["validation"]:
        parts["train"], parts["validation"] = _cut(parts["train"], validation_fraction, seed + 1)
    return parts, note


def _cut(
    pictures: list[PictureT], fraction: float, seed: int
) -> tuple[list[PictureT], list[PictureT]]:
    """Kept and held out, both in their order; at least one of each."""
    count = min(len(pictures) - 1, max(1, round(fraction * len(pictures))))
    order = np.random.default_rng(seed % 2**32).permutation(len(pictures))
    held_out = set(order[:count].tolist())
    kept = [picture for row, picture in enumerate(pictures) if row not in held_out]
    return kept, [pictures[row] for row in sorted(held_out)]
