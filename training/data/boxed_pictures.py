"""Pictures with boxes: what detection learns from, whoever annotated them.

`training.data.coco` and `training.data.yolo` read annotations into `BoxedPicture`s; here they are decoded,
laid on the network's canvas by the functions the server uses, and kept as arrays.

Letters: N pictures, S side of the canvas in pixels, M most boxes of a picture.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.blocks import ImagePreprocessing
from models.transforms.geometry import placement
from models.transforms.image import to_tensor
from training.data.images import SplitName
from training.errors import DataError

NO_OBJECT = -1
_LEAST_EXTENT = 1e-3  # pixels; annotation tools leave such boxes behind, and nobody can find them


@dataclass(frozen=True)
class Annotation:
    """One box: x_min, y_min, x_max, y_max, in pixels or (`is_relative`) in parts of the picture's sides.
    `where` names its place in the data. A crowd is a region with more objects than anybody counted."""

    box: tuple[float, float, float, float]
    label: int
    where: str
    is_crowd: bool = False
    is_relative: bool = False


@dataclass(frozen=True)
class BoxedPicture:
    """`load` decodes it upright; `size` is what the annotations claim it is, width and height."""

    split: SplitName
    name: str
    load: Callable[[], Image.Image]
    annotations: tuple[Annotation, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class BoxedPictures:
    """A data set that has been found but not yet decoded."""

    name: str
    class_names: tuple[str, ...]
    pictures: tuple[BoxedPicture, ...]
    sha256: str


@dataclass(frozen=True)
class BoxSplit:
    """`pixels` uint8 [N, 3, S, S]; `boxes` float32 [N, M, 4] in pixels of the canvas; `labels` int64 [N, M],
    −1 where there is no object; `crowds` bool [N, M]."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowds: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: NDArray[np.int64]) -> "BoxSplit":
        return BoxSplit(self.pixels[rows], self.boxes[rows], self.labels[rows], self.crowds[rows])

    def joined(self, other: "BoxSplit") -> "BoxSplit":
        parts = (self, other)
        pixels = [row for part in parts for row in part.pixels]
        objects = [
            row for part in parts for row in zip(part.boxes, part.labels, part.crowds, strict=True)
        ]
        return as_split(pixels, objects)

    @property
    def objects(self) -> int:
        return int(((self.labels != NO_OBJECT) & ~self.crowds).sum())


Objects = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]
"""Boxes [m, 4], labels [m] and crowds [m] of one picture."""


def collect_boxes(pictures: Iterable[BoxedPicture], block: ImagePreprocessing) -> BoxSplit:
    """Decode and place every picture. Raises DataError naming the picture or the annotation."""
    raw = block.model_copy(update={"scale": 1.0, "mean": (0.0,), "std": (1.0,)})
    pixels, objects = [], []
    for picture in pictures:
        image = picture.load()
        if picture.size is not None and picture.size != image.size:
            raise DataError(
                f"{picture.name}: annotated as {picture.size[0]}×{picture.size[1]} pixels, but the "
                f"upright picture has {image.width}×{image.height}; save it upright and annotate that"
            )
        pixels.append(to_tensor(image, raw).astype(np.uint8))
        objects.append(_objects(picture.annotations, image.size, raw))
    return as_split(pixels, objects)


def as_split(pixels: Sequence[NDArray[np.uint8]], objects: Sequence[Objects]) -> BoxSplit:
    """Rows of equal length: missing boxes are zeros with the label −1."""
    most = max(1, *(len(labels) for _, labels, _ in objects)) if objects else 1
    boxes = np.zeros((len(objects), most, 4), dtype=np.float32)
    labels = np.full((len(objects), most), NO_OBJECT, dtype=np.int64)
    crowds = np.zeros((len(objects), most), dtype=bool)
    for row, (own_boxes, own_labels, own_crowds) in enumerate(objects):
        count = len(own_labels)
        boxes[row, :count], labels[row, :count] = own_boxes, own_labels
        crowds[row, :count] = own_crowds
    return BoxSplit(np.stack(pixels), boxes, labels, crowds)


def _objects(
    annotations: Sequence[Annotation], size: tuple[int, int], block: ImagePreprocessing
) -> Objects:
    """In pixels of the canvas, cut off at the picture's edges; those without any extent are left out."""
    kept, boxes = [], []
    limits = np.tile(np.asarray(size, dtype=np.float64), 2)
    for annotation in annotations:
        box = np.asarray(annotation.box) * (limits if annotation.is_relative else 1)
        shown = np.clip(box, 0, limits)
        if (box[2:] - box[:2] >= _LEAST_EXTENT).all() and (shown[2:] <= shown[:2]).any():
            raise DataError(
                f"{annotation.where}: the box lies outside of the picture, which has "
                f"{size[0]}×{size[1]} pixels"
            )
        if (shown[2:] - shown[:2] >= _LEAST_EXTENT).all():
            kept.append(annotation)
            boxes.append(shown)
    corners = np.asarray(boxes).reshape(-1, 4)
    return (
        placement(size, block).to_canvas(corners).astype(np.float32),
        np.asarray([one.label for one in kept], dtype=np.int64),
        np.asarray([one.is_crowd for one in kept], dtype=bool),
    )
