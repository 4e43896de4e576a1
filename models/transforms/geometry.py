"""Where a picture lies in the graph's input, so that places the graph names can be told in the picture's
own pixels, and places in the picture in the graph's.

The counterpart of `models.transforms.image`: the same sizes and borders, worked out without the pixels.
Used by detection and segmentation, in training and in the service. Pixels of the picture are those of the
upright one, after its EXIF orientation.

Letters: M boxes, x_min, y_min, x_max, y_max each; x to the right, y down, 0 at the outer edge.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.blocks import ImagePreprocessing
from models.errors import ManifestInvalid
from models.transforms.image import kept_size

REVERSIBLE_FITS = ("stretch", "pad", "keep")

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Placement:
    """A picture of size `picture` fills `size` at (`left`, `top`) of a canvas, the graph's input."""

    picture: Size
    canvas: Size
    size: Size
    left: int = 0
    top: int = 0

    @property
    def _scale(self) -> np.ndarray:
        # A line of pixels may become nothing at all; it still has a place.
        return np.tile(np.maximum(self.size, 1) / np.asarray(self.picture), 2)

    @property
    def _shift(self) -> np.ndarray:
        return np.tile([self.left, self.top], 2)

    def to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [M, 4] in the canvas → in the picture, cut off at its edges."""
        found = (boxes - self._shift) / self._scale
        result: np.ndarray = np.clip(found, 0, np.tile(self.picture, 2))
        return result

    def to_canvas(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [M, 4] in the picture → in the canvas."""
        result: np.ndarray = boxes * self._scale + self._shift
        return result

    def place_mask(self, mask: np.ndarray, nothing: int) -> np.ndarray:
        """A mask uint8 [height, width] of the picture → of the canvas, `nothing` where no picture is."""
        width, height = self.canvas
        canvas = np.full((height, width), nothing, dtype=np.uint8)
        if min(self.size) > 0:
            resized = Image.fromarray(mask).resize(self.size, Image.Resampling.NEAREST)
            rows = slice(self.top, self.top + self.size[1])
            canvas[rows, self.left : self.left + self.size[0]] = np.asarray(resized)
        return canvas


def require_reversible(block: ImagePreprocessing, task: str) -> None:
    """Raises ManifestInvalid for a `fit` that drops parts of the picture: nothing is known of them."""
    if block.fit not in REVERSIBLE_FITS:
        raise ManifestInvalid(
            f"{task} needs a fit that keeps the whole picture ({', '.join(REVERSIBLE_FITS)}), "
            f"not {block.fit!r}"
        )


def placement(picture: Size, block: ImagePreprocessing) -> Placement:
    """Where `models.transforms.image.to_tensor` puts a picture of this size."""
    canvas = (block.width, block.height)
    if block.fit == "keep":
        size = kept_size(picture, block)
        return Placement(picture, size, size)
    if block.fit != "pad":
        return Placement(picture, canvas, canvas)
    # As Pillow's ImageOps.pad rounds, halves to the even number.
    width, height = canvas
    if picture[0] * height > picture[1] * width:
        height = round(picture[1] / picture[0] * canvas[0])
    else:
        width = round(picture[0] / picture[1] * canvas[1])
    left, top = round((canvas[0] - width) * 0.5), round((canvas[1] - height) * 0.5)
    return Placement(picture, canvas, (width, height), left, top)


def untouched(canvas: Size) -> Placement:
    """Of a caller who sent the graph's input itself."""
    return Placement(canvas, canvas, canvas)
