"""Surfaces: pictures of woven cloth with two printed stripes, good ones and ones with defects.

What the recipe `visual-anomaly` learns when it is given no data. Good pieces differ in the weave's fineness,
slant and phase, in light, tint, noise, and a little in where the stripes run. Defects are those of
`training.data.defects`, one a picture, and their pixels are known.

The generator is this file: good picture `index` of split `split` is made from the seed (split, index), what
is wrong with bad picture `index` from (9, index).

Letters: N pictures, S side in pixels.
"""

import hashlib
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.data.defects import KINDS, draw_defect

SplitName = Literal["train", "validation", "test", "bad"]
Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_SPLITS: Final[dict[SplitName, int]] = {"train": 0, "validation": 1, "test": 2, "bad": 3}
_DEFECTS = 9
_GROUND: Final = np.reshape((0.45, 0.5, 0.62), (3, 1, 1))
_STRIPE: Final = np.reshape((0.72, 0.42, 0.2), (3, 1, 1))
_THREADS: Final = (13.0, 15.0)  # across a picture
_STRIPES_AT: Final = (0.3, 0.62)  # parts of the side
_STRIPE_HALF_WIDTH = 0.05


def draw_good(split: SplitName, count: int, side: int) -> Pixels:
    """uint8 [count, 3, side, side]."""
    seed = _SPLITS[split]
    rows = [_cloth(np.random.default_rng((seed, index)), side) for index in range(count)]
    return np.stack(rows)


def draw_bad(count: int, side: int) -> tuple[Pixels, Mask, tuple[str, ...]]:
    """(uint8 [count, 3, side, side], what is wrong bool [count, side, side], its kind); kinds in turns."""
    kinds = tuple(KINDS[index % len(KINDS)] for index in range(count))
    drawn = [
        draw_defect(kind, picture, np.random.default_rng((_DEFECTS, index)))
        for index, (kind, picture) in enumerate(
            zip(kinds, draw_good("bad", count, side), strict=True)
        )
    ]
    return np.stack([pixels for pixels, _ in drawn]), np.stack([mask for _, mask in drawn]), kinds


def sha256(*arrays: NDArray[np.generic]) -> str:
    """Of everything that was drawn."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _cloth(dice: np.random.Generator, side: int) -> Pixels:
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(steps, steps)
    slant = dice.normal(scale=0.02)
    across, down = x + slant * y, y - slant * x
    threads = 2 * np.pi * dice.uniform(*_THREADS)
    warp = np.sin(threads * across + dice.uniform(0, 2 * np.pi))
    weft = np.sin(threads * down + dice.uniform(0, 2 * np.pi))
    weave = 0.06 * (np.maximum(warp, weft) - 0.4) + 0.05 * np.sign(warp * weft)
    colour = np.broadcast_to(_GROUND, (3, side, side)).copy()
    for place in _STRIPES_AT:
        distance = np.abs(across - place - dice.normal(scale=0.01))
        colour = np.where(distance < _STRIPE_HALF_WIDTH, _STRIPE, colour)
    angle = dice.uniform(0, 2 * np.pi)
    light = 1 + 0.12 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    tint = 1 + dice.normal(scale=0.02, size=(3, 1, 1))
    picture = (colour + weave) * light * tint * dice.uniform(0.9, 1.1)
    picture = picture + dice.normal(scale=0.02, size=picture.shape)
    levels: Pixels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return levels
