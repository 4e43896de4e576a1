"""Image folders: `train/<class>/*` and `test/<class>/*`, or a .tar/.tar.gz of that.

The two may lie inside one top folder. Without `test/` a stated, stratified part is held out; without
`train/` too, the folders are taken for the classes. Every mistake is one DataError that names the file
or the class and the remedy; nothing is skipped in silence.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from models.blocks import ImagePreprocessing
from models.errors import SlipwayError
from models.transforms.image import decode_image
from training.data.images import ImageData, Picture, collect, stratified_rows
from training.data.picture_files import SourceFile, SourceFiles, read_source
from training.errors import DataError

TEST_FRACTION = 0.2
_SAMPLED = 200  # pictures looked at to decide on size and colour
_LEAST_PICTURES = 3  # of a class: one each to learn from, to validate and to test
_LAYOUT = "expected train/<class>/<picture> and test/<class>/<picture>"

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Traits:
    """What a sample of the pictures looks like. Sides in pixels."""

    side: int
    is_grey: bool


class ImageFolder:
    """A folder or archive whose layout has been understood; pictures are decoded on demand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        source = read_source(path)
        self.pictures, self.class_names = _understand(path, source)
        self.sha256 = source.sha256()
        self.has_test = any(picture.split == "test" for picture in self.pictures)
        self._check_classes()

    def traits(self) -> Traits:
        """Median longer side, and whether all sampled pictures are without colour."""
        step = max(1, len(self.pictures) // _SAMPLED)
        images = [picture.load() for picture in self.pictures[::step]]
        side = int(np.median([max(image.size) for image in images]))
        return Traits(side, all(_is_grey(image) for image in images))

    def read(self, block: ImagePreprocessing, seed: int) -> ImageData:
        """Decode every picture as `block` says; hold out a part where there is no test folder."""
        train = collect(self._of("train"), self.class_names, block)
        test = collect(self._of("test"), self.class_names, block)
        note = "test: the test folder"
        if not self.has_test:
            kept, held_out = stratified_rows(train.labels, TEST_FRACTION, seed)
            train, test = train.take(kept), train.take(held_out)
            note = f"no test folder: {TEST_FRACTION:.0%} of every class held out, seed {seed}"
        return ImageData(_stem(self.path), self.class_names, train, test, self.sha256, note)

    def _of(self, split: Split) -> Iterable[Picture]:
        return (picture for picture in self.pictures if picture.split == split)

    def _check_classes(self) -> None:
        if len(self.class_names) < 2:
            raise DataError(
                f"{self.path}: {len(self.class_names)} class found, at least 2 are needed; {_LAYOUT}"
            )
        counts = Counter(picture.label for picture in self._of("train"))
        least = _LEAST_PICTURES - 1 if self.has_test else _LEAST_PICTURES
        for name in self.class_names:
            if counts[name] < least:
                raise DataError(
                    f"{self.path}: class {name!r} has {counts[name]} pictures to learn from, "
                    f"at least {least} are needed; add some or remove its folder"
                )


def _understand(path: Path, source: SourceFiles) -> tuple[list[Picture], tuple[str, ...]]:
    """Pictures and class names (those of `train/`, sorted)."""
    if not source.files and not source.folders:
        raise DataError(f"{path}: holds no pictures; {_LAYOUT}")
    top = _depth_of_splits(source)
    has_splits = any(parts[top : top + 1] == ("train",) for parts in source.folders)
    pictures = [_picture(path, file, top, has_splits) for file in source.files]
    train = {picture.label for picture in pictures if picture.split == "train"}
    _check_folders(path, source, top, has_splits)
    strangers = {picture.label for picture in pictures} - train
    if strangers:
        raise DataError(
            f"{path}: class {min(strangers)!r} is in test/ but not in train/; "
            "add it there or remove it"
        )
    for name in train:
        if not name.isprintable():
            raise DataError(f"{path}: class folder {name!r} needs a printable name")
    return pictures, tuple(sorted(train))


def _depth_of_splits(source: SourceFiles) -> int:
    """0, or 1 where everything lies inside one top folder that is not itself a split."""
    firsts = {parts[0] for parts in source.folders} | {file.parts[0] for file in source.files}
    return 1 if len(firsts) == 1 and not firsts & {"train", "test"} else 0


def _picture(path: Path, file: SourceFile, top: int, has_splits: bool) -> Picture:
    below = file.parts[top:]
    if has_splits:
        if len(below) != 3 or below[0] not in ("train", "test"):
            raise DataError(f"{path}: {file.name} is not where a picture belongs; {_LAYOUT}")
        split: Split = "test" if below[0] == "test" else "train"
        return Picture(split, below[1], file.name, partial(_load, path, file))
    if len(below) != 2:
        raise DataError(f"{path}: {file.name} is not where a picture belongs; {_LAYOUT}")
    return Picture("train", below[0], file.name, partial(_load, path, file))


def _check_folders(path: Path, source: SourceFiles, top: int, has_splits: bool) -> None:
    """Raises DataError for an empty class folder."""
    depth = top + (2 if has_splits else 1)
    filled = {file.parts[:depth] for file in source.files}
    for folder in sorted(source.folders):
        if len(folder) == depth and folder not in filled:
            raise DataError(
                f"{path}: class folder {'/'.join(folder)} is empty; add pictures or remove it"
            )


def _load(path: Path, file: SourceFile) -> Image.Image:
    try:
        return decode_image(file.read())
    except SlipwayError as error:
        raise DataError(
            f"{path}: {file.name}: {error.message}; replace or remove this file"
        ) from error


def _is_grey(image: Image.Image) -> bool:
    if image.mode == "L":
        return True
    pixels = np.asarray(image.convert("RGB")).astype(np.int16)
    # JPEG's colour conversion makes grey pictures differ by a level or two between channels.
    return bool(np.abs(pixels - pixels[:, :, :1]).max() <= 2)


def _stem(path: Path) -> str:
    name: str = path.resolve().name
    suffixes: Sequence[str] = (".tar.gz", ".tgz", ".tar")
    return next((name.removesuffix(end) for end in suffixes if name.endswith(end)), name)
