"""Where an image recipe's pictures come from: scikit-learn's digits, or the folder of `--data`.

Settles what depends on the data: side, colour, and the mean and deviation that the manifest will state.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from models.blocks import ImagePreprocessing
from training.data.digits import SIDE, read_digits
from training.data.image_folder import ImageFolder
from training.data.images import (
    ImageData,
    ImageSplit,
    Picture,
    channel_statistics,
    collect,
    stratified_rows,
)
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
    path: Path | None, config: ImageConfig, validation_fraction: float, seed: int
) -> PreparedImages:
    """Read, resize and split. Raises DataError."""
    if path is None:
        block = _block(config, config.side or SIDE, is_grey=True)
        data = _resized(read_digits(), block)
    else:
        folder = ImageFolder(path)
        traits = folder.traits()
        side = config.side or int(np.clip(traits.side, _LEAST_SIDE, config.largest))
        grey = traits.is_grey if config.channels == "auto" else config.channels == "L"
        block = _block(config, side, is_grey=grey)
        data = folder.read(block, seed)
    kept, held_out = stratified_rows(data.train.labels, validation_fraction, seed)
    train, validation = data.train.take(kept), data.train.take(held_out)
    mean, std = channel_statistics(train.pixels)
    described = block.model_copy(update={"mean": mean, "std": std})
    return PreparedImages(data, described, train, validation)


def _block(config: ImageConfig, side: int, *, is_grey: bool) -> ImagePreprocessing:
    return ImagePreprocessing(
        input="image",
        height=side,
        width=side,
        channel_order="L" if is_grey else "RGB",
        interpolation=config.interpolation,
        fit=config.fit,
    )


def _resized(data: ImageData, block: ImagePreprocessing) -> ImageData:
    """The digits at another size or in three channels, through the function the server uses."""
    if block.height == SIDE and block.channel_order == "L":
        return data

    def again(split: ImageSplit) -> ImageSplit:
        pictures = (
            Picture("train", data.class_names[label], "", partial(Image.fromarray, row[0]))
            for row, label in zip(split.pixels, split.labels, strict=True)
        )
        return collect(pictures, data.class_names, block)

    return replace(data, train=again(data.train), test=again(data.test))
