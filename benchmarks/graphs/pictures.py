"""Pictures of printed digits, drawn: something that can be right or wrong, without a download.

Digits differ a little in size, place, slant and brightness, and lie in noise, so that a classifier is right
often but not always, and a variant that computes less exactly has something to lose.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CLASSES = 10
_NOISE = 0.15
_SLANT_DEGREES = 3.0
_HEIGHTS = (0.66, 0.72)  # of the picture
_OFF_CENTRE = 0.02
_INNER_SIDE = 64  # drawn in this size and enlarged: more pixels take longer and show no more


class Pictures(NamedTuple):
    """`pixels` float32 [N, channels, side, side], about zero and of unit spread; `labels` int64 [N]."""

    pixels: np.ndarray
    labels: np.ndarray


def digits(count: int, side: int, channels: int, seed: int) -> Pictures:
    """Every digit about as often; the same for the same seed."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % CLASSES)
    inner = min(side, _INNER_SIDE)
    drawn = np.stack([_draw(int(label), inner, random) for label in labels])
    if inner < side:
        places = np.arange(side) * inner // side
        drawn = drawn[:, places][:, :, places]
    pixels = np.repeat(drawn[:, None], channels, axis=1)
    return Pictures(pixels.astype(np.float32), labels)


def _draw(digit: int, side: int, random: np.random.Generator) -> np.ndarray:
    """float [side, side]."""
    page = Image.new("L", (side, side), 0)
    middle = side / 2 + random.uniform(-_OFF_CENTRE, _OFF_CENTRE, 2) * side
    font = _font(round(random.uniform(*_HEIGHTS) * side * 4 / 3))
    ImageDraw.Draw(page).text(tuple(middle), str(digit), fill=255, font=font, anchor="mm")
    turned = page.rotate(random.uniform(-_SLANT_DEGREES, _SLANT_DEGREES), Image.Resampling.BILINEAR)
    ink = np.asarray(turned, np.float64) / 255 * random.uniform(0.5, 1.0)
    lit: np.ndarray = 3 * (ink - ink.mean()) + _NOISE * random.standard_normal((side, side))
    return lit


@cache
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)
