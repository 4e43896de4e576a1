"""Labelled pictures that have been found but not yet decoded: from a folder, an archive or a table.

`training.data.image_folder` and `training.data.image_table` find them; here they are checked, looked at for
size and colour, decoded, and split. Every mistake is one DataError that names the file or the class and
the remedy; nothing is skipped in silence.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from models.blocks import ImagePreprocessing
from models.errors import SlipwayError
from models.transforms.image import decode_image
from training.data.images import ImageData, Picture, SplitName, collect, stratified_rows
from training.errors import DataError

TEST_FRACTION = 0.2
_SAMPLED = 200  # pictures looked at to decide on size and colour
_LEAST_PICTURES = 3  # of a class: one each to learn from, to validate and to test
# How people call the three, in folders and in columns.
SPLIT_NAMES: Final[dict[str, SplitName]] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Traits:
    """What a sample of the pictures looks like. Sides in pixels."""

    side: int
    is_grey: bool


class LabelledPictures:
    """Pictures and their classes; decoded on demand. `hint` says what was expected.

    `is_open`: the held-out parts may hold classes of their own, and a class a single picture; for works
    that compare pictures instead of naming them.
    """

    def __init__(
        self,
        path: Path,
        pictures: Sequence[Picture],
        sha256: str,
        hint: str,
        *,
        is_open: bool = False,
    ) -> None:
        self.path = path
        self.sha256 = sha256
        self.pictures = _with_test(pictures)
        self.has_test = any(picture.split == "test" for picture in self.pictures)
        known = self.pictures if is_open else self._of("train")
        self.class_names = _class_names({row.label for row in known})
        self._hint = hint
        self._check_names()
        if not is_open:
            self._check_classes()

    def traits(self) -> Traits:
        """Median longer side, and whether all sampled pictures are without colour."""
        step = max(1, len(self.pictures) // _SAMPLED)
        images = [picture.load() for picture in self.pictures[::step]]
        side = int(np.median([max(image.size) for image in images]))
        return Traits(side, all(_is_grey(image) for image in images))

    def read(self, block: ImagePreprocessing, seed: int) -> ImageData:
        """Decode every picture as `block` says; hold out a part where no test pictures are named."""
        train, validation, test = (
            collect(self._of(split), self.class_names, block)
            for split in ("train", "validation", "test")
        )
        note = "as the data say"
        if not self.has_test:
            kept, held_out = stratified_rows(train.labels, TEST_FRACTION, seed)
            train, test = train.take(kept), train.take(held_out)
            note = (
                f"no test pictures given: {TEST_FRACTION:.0%} of every class held out, seed {seed}"
            )
        return ImageData(
            name=stem_of(self.path),
            class_names=self.class_names,
            train=train,
            test=test,
            sha256=self.sha256,
            note=note,
            validation=validation if len(validation) else None,
        )

    def _of(self, split: str) -> Iterable[Picture]:
        return (picture for picture in self.pictures if picture.split == split)

    def _check_names(self) -> None:
        if len(self.class_names) < 2:
            raise DataError(
                f"{self.path}: {len(self.class_names)} class found, at least 2 are needed; "
                f"{self._hint}"
            )
        for name in self.class_names:
            if not name.isprintable():
                raise DataError(f"{self.path}: class {name!r} needs a printable name")

    def _check_classes(self) -> None:
        for picture in self.pictures:
            if picture.label not in self.class_names:
                raise DataError(
                    f"{self.path}: class {picture.label!r} is in {picture.split}/ but not in train/ "
                    f"({picture.name}); add it there or remove it"
                )
        counts = Counter(picture.label for picture in self._of("train"))
        least = _LEAST_PICTURES - 1 if self.has_test else _LEAST_PICTURES
        for name in self.class_names:
            if counts[name] < least:
                raise DataError(
                    f"{self.path}: class {name!r} has {counts[name]} pictures to learn from, "
                    f"at least {least} are needed; add some or remove it"
                )


def load_picture(where: str, read: Callable[[], bytes]) -> Image.Image:
    """Decode as the server does. Raises DataError that names the place, e.g. the table's line."""
    try:
        return decode_image(read())
    except SlipwayError as error:
        raise DataError(f"{where}: {error.message}; replace or remove this file") from error
    except OSError as error:
        raise DataError(f"{where}: cannot be read: {error.strerror}") from error


def _with_test(pictures: Sequence[Picture]) -> list[Picture]:
    """With a single held-out part the figures must come from it."""
    splits = {picture.split for picture in pictures}
    if "test" in splits or "validation" not in splits:
        return list(pictures)
    return [
        replace(picture, split="test") if picture.split == "validation" else picture
        for picture in pictures
    ]


def _class_names(labels: set[str]) -> tuple[str, ...]:
    """Sorted, as numbers where all are."""
    if all(label.isascii() and label.isdigit() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "L":
        return True
    pixels = np.asarray(image.convert("RGB")).astype(np.int16)
    # JPEG's colour conversion makes grey pictures differ by a level or two between channels.
    return bool(np.abs(pixels - pixels[:, :, :1]).max() <= 2)


def stem_of(path: Path) -> str:
    name: str = path.resolve().name
    suffixes: Sequence[str] = (".tar.gz", ".tgz", ".tar", ".zip", ".csv", ".tsv", ".jsonl", ".json")
    return next((name.removesuffix(end) for end in suffixes if name.endswith(end)), name)
