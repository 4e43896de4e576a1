"""Labelled pictures in memory, and the sources they come from.

A source yields `Picture`s (split, class, name, bytes or image); `collect` turns them into arrays with
the very function that the service will use (`models.transforms.image.to_tensor`), so a picture cannot
be read one way when the model learns and another way when it serves.

Letters: N pictures, C channels, H height, W width.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.blocks import ImagePreprocessing
from models.transforms.image import to_tensor

SplitName = Literal["train", "validation", "test"]
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Picture:
    """One picture of a source. `load` decodes it; it may raise DataError naming the file."""

    split: SplitName
    label: str
    name: str
    load: Callable[[], Image.Image]


@dataclass(frozen=True)
class ImageSplit:
    """`pixels` uint8 [N, C, H, W], already resized; `labels` int64 [N]."""

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[Any]) -> "ImageSplit":
        return ImageSplit(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class ImageData:
    """A whole data set. `note` says how the test split came about.

    `validation` is set where the data themselves name such a part; else it is cut from `train`.
    """

    name: str
    class_names: tuple[str, ...]
    train: ImageSplit
    test: ImageSplit
    sha256: str
    note: str = ""
    validation: ImageSplit | None = None


def collect(
    pictures: Iterable[Picture], class_names: tuple[str, ...], block: ImagePreprocessing
) -> ImageSplit:
    """Decode and resize. `block` says size, channels and resampling; its scale is not applied."""
    raw = block.model_copy(update={"scale": 1.0, "mean": (0.0,), "std": (1.0,)})
    index = {name: number for number, name in enumerate(class_names)}
    rows, labels = [], []
    for picture in pictures:
        rows.append(to_tensor(picture.load(), raw).astype(np.uint8))
        labels.append(index[picture.label])
    channels = 1 if block.channel_order == "L" else 3
    empty = np.zeros((0, channels, block.height, block.width), dtype=np.uint8)
    return ImageSplit(np.stack(rows) if rows else empty, np.asarray(labels, dtype=np.int64))


def normalise(pixels: Pixels, block: ImagePreprocessing) -> NDArray[np.float32]:
    """uint8 [N, C, H, W] → float32, by the same formula as `to_tensor`."""
    mean = np.asarray(block.mean, dtype=np.float32).reshape(-1, 1, 1)
    std = np.asarray(block.std, dtype=np.float32).reshape(-1, 1, 1)
    return (pixels.astype(np.float32) * np.float32(block.scale) - mean) / std


def channel_statistics(pixels: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of value/255, rounded so that a manifest stays short.

    A constant channel gets the deviation 1: dividing by 0 would make every value infinite.
    """
    scaled = pixels.astype(np.float64) / 255
    mean, std = scaled.mean(axis=(0, 2, 3)), scaled.std(axis=(0, 2, 3))
    std[std < 1e-4] = 1.0
    return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())


def stratified_rows(
    labels: Labels, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (kept, held out), both ascending: `fraction` of every class, at least one of each pair.

    A class with a single row stays in the kept part.
    """
    generator = np.random.default_rng(seed)
    held_out = []
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        count = min(len(rows) - 1, max(1, round(fraction * len(rows))))
        held_out.append(rows[:count])
    out = np.sort(np.concatenate(held_out)) if held_out else np.zeros(0, dtype=np.int64)
    kept = np.setdiff1d(np.arange(len(labels)), out)
    return kept.astype(np.int64), out.astype(np.int64)
