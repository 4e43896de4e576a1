"""Defects drawn on good pictures: to judge by where nobody has pictures of real ones, and in the own data.

Five kinds: `scratch` (a bent line, brighter or darker), `stain` (a soft tinted blot), `hole` (a small sharp
spot), `smear` (a part out of focus) and `shift` (a part displaced). Size, place, strength and colour are
drawn for each; faint ones occur. A detector that finds these may still miss a real kind, so figures from
them say what they are.

Letters: S side in pixels.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Pixels = NDArray[np.uint8]
Field = NDArray[np.float64]
Mask = NDArray[np.bool_]

_VISIBLE = 0.15  # coverage from which on a pixel counts as part of the defect
_LEAST_CONTRAST, _MOST_CONTRAST = 0.12, 0.4  # of 1


def draw_defect(kind: str, pixels: Pixels, dice: np.random.Generator) -> tuple[Pixels, Mask]:
    """A changed copy of uint8 [3, S, S], and which pixels are wrong: bool [S, S], never none."""
    side = pixels.shape[1]
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(steps, steps)
    coverage, changed = _DRAW[kind](pixels.astype(np.float64) / 255, x, y, dice)
    mixed = pixels / 255 * (1 - coverage) + changed * coverage
    levels: Pixels = np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8)
    return levels, coverage > _VISIBLE


def _scratch(picture: Field, x: Field, y: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    """A piece of a parabola."""
    along, across = _own_frame(x, y, dice)
    length, bend = dice.uniform(0.15, 0.4), dice.uniform(-0.6, 0.6)
    half_width = max(dice.uniform(0.004, 0.012), 0.75 / len(x))
    distance = np.abs(across - bend * along**2)
    line = np.clip(1.5 - distance / half_width, 0, 1) * (np.abs(along) < length)
    return line, picture + _contrast(dice)


def _stain(picture: Field, x: Field, y: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    along, across = _own_frame(x, y, dice)
    angle = np.arctan2(across, along)
    edge = 1 + 0.25 * np.sin(dice.integers(2, 5) * angle + dice.uniform(0, 2 * np.pi))
    radius = dice.uniform(0.05, 0.14) * edge
    blot = np.clip(1.5 * (1 - np.hypot(along, across * dice.uniform(1, 1.8)) / radius), 0, 1)
    tint = dice.uniform(-1, 1, size=(3, 1, 1))
    return blot, picture + _MOST_CONTRAST * dice.uniform(0.5, 1) * tint / np.abs(tint).max()


def _hole(picture: Field, x: Field, y: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    along, across = _own_frame(x, y, dice)
    radius = max(dice.uniform(0.015, 0.04), 1.5 / len(x))
    spot = (np.hypot(along, across) < radius).astype(np.float64)
    return spot, np.broadcast_to(dice.choice([0.05, 0.95]), picture.shape)


def _smear(picture: Field, x: Field, y: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    inside = _patch(x, y, dice)
    image = Image.fromarray(np.round(picture * 255).astype(np.uint8).transpose(1, 2, 0))
    blurred = image.filter(ImageFilter.GaussianBlur(dice.uniform(0.02, 0.05) * len(x)))
    return inside, np.asarray(blurred).transpose(2, 0, 1) / 255


def _shift(picture: Field, x: Field, y: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    """The part turned by a quarter and moved: what belongs here is somewhere else."""
    by = tuple(int(part) for part in dice.integers(len(x) // 6, len(x) // 2, size=2))
    moved = np.roll(np.rot90(picture, axes=(1, 2)), by, axis=(1, 2))
    return _patch(x, y, dice), moved


def _patch(x: Field, y: Field, dice: np.random.Generator) -> Field:
    along, across = _own_frame(x, y, dice)
    half_length, half_width = dice.uniform(0.06, 0.14, size=2)
    inside: Field = ((np.abs(along) < half_length) & (np.abs(across) < half_width)).astype(float)
    return inside


def _own_frame(x: Field, y: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    """Coordinates about a place well inside the picture, turned."""
    centre_x, centre_y = dice.uniform(0.2, 0.8, size=2)
    angle = dice.uniform(0, np.pi)
    x, y = x - centre_x, y - centre_y
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _contrast(dice: np.random.Generator) -> float:
    return float(dice.uniform(_LEAST_CONTRAST, _MOST_CONTRAST) * dice.choice([-1, 1]))


_DRAW: Final[
    dict[str, Callable[[Field, Field, Field, np.random.Generator], tuple[Field, Field]]]
] = {"scratch": _scratch, "stain": _stain, "hole": _hole, "smear": _smear, "shift": _shift}
KINDS = tuple(_DRAW)
