"""Where an image recipe's pictures come from: its own, or the folder, archive or table of `--data`.

Settles what depends on the data: side, colour, and the mean and deviation that the manifest will state.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from models.blocks import ImagePreprocessing
from training.data.digits import read_digits
from training.data.folds import fold_rows
from training.data.image_folder import ImageFolder
from training.data.image_table import ImageTable
from training.data.images import (
    ImageData,
    ImageSplit,
    Picture,
    Pixels,
    channel_statistics,
    collect,
    stratified_rows,
)
from training.data.labelled_pictures import LabelledPictures
from training.data.table_files import SUFFIXES
from training.tasks.image_settings import ImageConfig

_LEAST_SIDE = 8  # pixels; below, the network has nothing to look at


@dataclass(frozen=True)
class PreparedImages:
    """Three disjoint splits and the block that turns a picture into a row of them."""

    data: ImageData
    block: ImagePreprocessing
    train: ImageSplit
    validation: ImageSplit

    @property
    def test(self) -> ImageSplit:
        return self.data.test

    @property
    def channels(self) -> int:
        return int(self.data.train.pixels.shape[1])

    @property
    def side(self) -> int:
        return self.block.height

    def summary(self) -> dict[str, str]:
        colour = "grey" if self.channels == 1 else "colour"
        return {
            "data set": f"{self.data.name}: {len(self.data.class_names)} classes",
            "pictures": f"{self.side}×{self.side}, {colour}, {self.block.interpolation} resampling",
            "train": f"{len(self.train):,} pictures",
            "validation": f"{len(self.validation):,} pictures",
            "test": f"{len(self.test):,} pictures ({self.data.note.removeprefix('test: ')})",
        }


def prepare_images(
    path: Path | None,
    config: ImageConfig,
    validation_fraction: float,
    seed: int,
    own: Callable[[], ImageData] = read_digits,
) -> PreparedImages:
    """Read, resize and split; without `path`, what `own` gives. Raises DataError."""
    if path is None:
        drawn = own()
        channels, side = drawn.train.pixels.shape[1:3]
        block = block_of(config, config.side or side, is_grey=channels == 1)
        data = _resized(drawn, block)
    else:
        pictures = read_pictures(path)
        traits = pictures.traits()
        side = settled_side(config, traits.side)
        block = block_of(config, side, is_grey=traits.is_grey)
        data = pictures.read(block, seed)
    train, validation = data.train, data.validation
    if validation is None:
        kept, held_out = stratified_rows(train.labels, validation_fraction, seed)
        train, validation = train.take(kept), train.take(held_out)
    mean, std = channel_statistics(train.pixels)
    described = block.model_copy(update={"mean": mean, "std": std})
    return PreparedImages(data, described, train, validation)


def fold_of(
    images: PreparedImages, number: int, count: int, *, validation_fraction: float, seed: int
) -> PreparedImages:
    """`images` with fold `number` of `count` of what was not for testing in the place of the test."""
    parts = (images.train, images.validation)
    everything = ImageSplit(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
    rows = fold_rows(
        everything.labels, number, count, validation_fraction=validation_fraction, seed=seed
    )
    train, validation, test = (
        everything.take(part) for part in (rows.train, rows.validation, rows.test)
    )
    mean, std = channel_statistics(train.pixels)
    block = images.block.model_copy(update={"mean": mean, "std": std})
    data = replace(images.data, train=train, validation=validation, test=test)
    return PreparedImages(data, block, train, validation)


def read_pictures(path: Path, *, is_open: bool = False) -> LabelledPictures:
    """What `--data` names: a table by its suffix, else an image folder or an archive of one."""
    is_table = path.is_file() and path.suffix.lower() in SUFFIXES
    return ImageTable(path, is_open=is_open) if is_table else ImageFolder(path, is_open=is_open)


def settled_side(config: ImageConfig, data_side: int) -> int:
    """What is asked for, or the data's own within its limits; pixels."""
    return config.side or int(np.clip(data_side, _LEAST_SIDE, config.largest))


def block_of(config: ImageConfig, side: int, *, is_grey: bool) -> ImagePreprocessing:
    """Without mean and deviation, which the training pictures settle."""
    wants_grey = is_grey if config.channels == "auto" else config.channels == "L"
    return ImagePreprocessing(
        input="image",
        height=side,
        width=side,
        channel_order="L" if wants_grey else "RGB",
        interpolation=config.interpolation,
        fit=config.fit,
    )


def _resized(data: ImageData, block: ImagePreprocessing) -> ImageData:
    train, test = (resized_split(part, data.class_names, block) for part in (data.train, data.test))
    return replace(data, train=train, test=test)


def resized_split(
    split: ImageSplit, class_names: tuple[str, ...], block: ImagePreprocessing
) -> ImageSplit:
    """Drawn pictures at another size or in other channels, through the function the server uses."""
    channels = 1 if block.channel_order == "L" else 3
    if split.pixels.shape[1:] == (channels, block.height, block.width):
        return split
    pictures = (
        Picture("train", class_names[label], "", partial(_as_image, row))
        for row, label in zip(split.pixels, split.labels, strict=True)
    )
    return collect(pictures, class_names, block)


def _as_image(row: Pixels) -> Image.Image:
    return Image.fromarray(row[0] if len(row) == 1 else row.transpose(1, 2, 0))
