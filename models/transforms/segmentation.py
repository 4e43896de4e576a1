"""What a segmenter's logits mean: a class for every pixel of the picture, as PNG or as run lengths.

Used by the service for answers and by training for its figures. Logits are enlarged before the classes
are compared, which gives smoother edges than enlarging the classes.

Letters: K classes, H height and W width in pixels of the wanted mask, h and w of the logits.
"""

import colorsys
import io
import math

import numpy as np
from PIL import Image

from models.transforms.geometry import Placement, Size

MOST_CLASSES = 256
"""A mask's pixels are bytes."""

# Numbers that are compared at most; a larger mask is found at a smaller size and then enlarged. No graph
# sees such detail, and 25 million pixels of 150 classes would take a minute.
_MOST_COMPARED = 64_000_000

_GOLDEN_ANGLE = (math.sqrt(5) - 1) / 2


def class_mask(logits: np.ndarray, placed: Placement, size: Size) -> np.ndarray:
    """Logits float32 [K, h, w] of the whole canvas → uint8 [H, W], the class of every pixel of the picture
    shown at `size` (width, height). Among equals the lowest class."""
    classes, rows, columns = logits.shape
    shrink = min(1.0, math.sqrt(_MOST_COMPARED / (classes * size[0] * size[1])))
    compared = (max(1, int(size[0] * shrink)), max(1, int(size[1] * shrink)))
    across, down = columns / placed.canvas[0], rows / placed.canvas[1]
    box = (
        placed.left * across,
        placed.top * down,
        (placed.left + max(1, placed.size[0])) * across,
        (placed.top + max(1, placed.size[1])) * down,
    )
    is_whole = box == (0, 0, columns, rows) and compared == (columns, rows)
    best = np.full(compared[::-1], -np.inf, dtype=np.float32)
    mask = np.zeros(compared[::-1], dtype=np.uint8)
    for number, plane in enumerate(logits.astype(np.float32)):
        if not is_whole:
            plane = _enlarged(plane, compared, box)
        better = plane > best
        best[better] = plane[better]
        mask[better] = number
    if compared == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def shown_size(picture: Size, max_size: int | None) -> Size:
    """The picture's own size, or smaller in its proportions: the longer side at most `max_size`."""
    if max_size is None or max(picture) <= max_size:
        return picture
    factor = max_size / max(picture)
    return max(1, round(picture[0] * factor)), max(1, round(picture[1] * factor))


def to_palette_png(mask: np.ndarray, classes: int) -> bytes:
    """PNG with a palette: a pixel's value is its class, and each class has a colour for people."""
    image = Image.fromarray(mask)
    image.putpalette(palette(classes))
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


def palette(classes: int) -> bytes:
    """Red, green, blue of each class; the first is black, the others' hues lie far apart."""
    colours = bytearray(3)
    for number in range(1, classes):
        hue = number * _GOLDEN_ANGLE % 1
        shade = colorsys.hsv_to_rgb(hue, 0.9 if number % 2 else 0.6, 0.95)
        colours += bytes(round(part * 255) for part in shade)
    return bytes(colours)


def run_lengths(wanted: np.ndarray) -> np.ndarray:
    """COCO's uncompressed counts of a bool [H, W]: runs of no and yes in turns, column by column, the
    first one of no (so it may be 0)."""
    flat = wanted.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return np.concatenate([[0], runs]) if flat[:1].any() else runs


def from_run_lengths(counts: np.ndarray, size: Size) -> np.ndarray:
    """The bool [H, W] that has these counts."""
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((size[1], size[0]), order="F")


def _enlarged(plane: np.ndarray, size: Size, box: tuple[float, float, float, float]) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))
