"""Pictures with what was found in them, for the sample sheets of detection and segmentation.

Letters: S side in pixels, M boxes, K classes.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.transforms.segmentation import palette
from training.data.masked_pictures import IGNORED

Array = NDArray[Any]

FOUND: Final = (0.1, 1.0, 0.3)
TRUE: Final = (1.0, 1.0, 1.0)
_ENLARGEMENT = 2  # so that a line hides little
_MASK_WEIGHT = 0.6


def with_boxes(pixels: Array, boxes: Array, colour: tuple[float, float, float]) -> Array:
    """A copy, float [3, S, S] in 0–1, with the outlines of boxes [M, 4], which are in its pixels."""
    drawn = np.array(pixels, dtype=np.float32)
    side = drawn.shape[1]
    tint = np.asarray(colour, dtype=np.float32)[:, None]
    for left, top, right, bottom in np.clip(np.rint(boxes), 0, side - 1).astype(int):
        for row in (top, bottom):
            drawn[:, row, left : right + 1] = tint
        for column in (left, right):
            drawn[:, top : bottom + 1, column] = tint
    return drawn


def enlarged(pixels: Array) -> Array:
    """Every pixel becomes four; uint8 [3, S, S] → float in 0–1."""
    big = pixels.repeat(_ENLARGEMENT, axis=1).repeat(_ENLARGEMENT, axis=2)
    result: Array = big.astype(np.float32) / np.float32(255)
    return result


def on_enlarged(boxes: Array) -> Array:
    """Boxes of a picture → of the same picture `enlarged`."""
    return boxes * _ENLARGEMENT


def with_mask(pixels: Array, mask: Array, classes: int) -> Array:
    """Uint8 [3, S, S] and a mask [S, S] → float in 0–1 with each class in its colour; class 0 and what is
    not known stay as they are."""
    colours = np.frombuffer(palette(classes), dtype=np.uint8).reshape(-1, 3) / 255
    picture = pixels.astype(np.float32) / 255
    shown = (mask != 0) & (mask != IGNORED)
    tint = colours[np.where(shown, mask, 0)].transpose(2, 0, 1)
    return np.where(shown, (1 - _MASK_WEIGHT) * picture + _MASK_WEIGHT * tint, picture)
