"""Emblems: made-up signs of which a picture can be told by no class name, only by likeness.

What the recipe `image-embedding` learns when it is given no data. An emblem (an identity) is two to four
shapes of `training.data.shapes`, each with its own place, size, turn and one of six colours; pairs of
emblems share colours and shapes, so neither alone tells them apart. A picture of it is taken from some
distance and a little askew, on a ground of two colours that flow into each other, in light of another
strength and tint, partly covered by a bar, and noisy.

The generator is this file: emblem number n is made from the seed (0, n), its picture k from (1, n, k).
Numbers are never shared by two splits, so that judged emblems are ones nobody has learned.

Letters: H height and W width of the canvas in pixels, N pictures.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from training.data.images import ImageSplit
from training.data.shapes import CLASS_NAMES, SHAPES

Field = NDArray[np.float64]

SplitName = Literal["train", "validation", "test"]

_SPLITS: Final[dict[SplitName, int]] = {
    "train": 0,
    "validation": 10_000,
    "test": 20_000,
}  # first numbers
_OVERSAMPLING = 2
_COLOURS: Final = (
    (0.85, 0.15, 0.15), (0.15, 0.65, 0.2), (0.15, 0.25, 0.85),
    (0.95, 0.8, 0.1), (0.1, 0.1, 0.1), (0.95, 0.95, 0.95),
)  # fmt: skip
_LEAST_PART, _MOST_PART = 0.28, 0.5  # radius of a shape, of the emblem's
_LEAST_SIZE, _MOST_SIZE = 0.3, 0.46  # radius of the emblem, of the picture's side
_MOST_TURN = np.pi / 7
_MOST_TINT, _LEAST_LIGHT = 0.12, 0.6
_BAR_PROBABILITY = 0.3
_MOST_NOISE = 0.06  # deviation, of 1


@dataclass(frozen=True)
class _Part:
    """One shape. `x`, `y` and `radius` in the emblem's own frame, where the emblem's radius is 1."""

    shape: str
    x: float
    y: float
    radius: float
    turn: float
    colour: tuple[float, float, float]


def draw_emblems(split: SplitName, identities: int, pictures: int, side: int) -> ImageSplit:
    """`pictures` of each of `identities` emblems, uint8 [N, 3, side, side]; labels count from 0."""
    first = _SPLITS[split]
    rows = [
        draw_picture(first + number, index, side)
        for number in range(identities)
        for index in range(pictures)
    ]
    return ImageSplit(np.stack(rows), np.repeat(np.arange(identities), pictures).astype(np.int64))


def identity_names(split: SplitName, identities: int) -> list[str]:
    return [f"emblem-{_SPLITS[split] + number:05}" for number in range(identities)]


def draw_picture(number: int, index: int, side: int) -> NDArray[np.uint8]:
    """Picture `index` of emblem `number`, uint8 [3, side, side]."""
    dice = np.random.default_rng((1, number, index))
    canvas = _OVERSAMPLING * side
    steps = (np.arange(canvas) + 0.5) / canvas
    across, down = np.meshgrid(steps, steps)
    picture = _ground(across, down, dice)
    x, y = _emblems_frame(across, down, dice)
    for part in _emblem(number):
        picture = np.where(_covers(part, x, y), np.reshape(part.colour, (3, 1, 1)), picture)
    picture = _covered_by_a_bar(picture, across, down, dice)
    tint = 1 + dice.uniform(-_MOST_TINT, _MOST_TINT, size=(3, 1, 1))
    picture = picture * dice.uniform(_LEAST_LIGHT, 1.0) * tint
    small = picture.reshape(3, side, _OVERSAMPLING, side, _OVERSAMPLING).mean(axis=(2, 4))
    small += dice.normal(scale=dice.uniform(0.01, _MOST_NOISE), size=small.shape)
    levels: NDArray[np.uint8] = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    return levels


def sha256(splits: list[ImageSplit]) -> str:
    """Of everything that was drawn."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.pixels.tobytes() + split.labels.tobytes())
    return digest.hexdigest()


@cache
def _emblem(number: int) -> tuple[_Part, ...]:
    dice = np.random.default_rng((0, number))
    parts = []
    for _ in range(dice.integers(2, 5)):
        radius = dice.uniform(_LEAST_PART, _MOST_PART)
        angle, distance = dice.uniform(0, 2 * np.pi), dice.uniform(0, 1 - radius)
        parts.append(
            _Part(
                shape=CLASS_NAMES[dice.integers(len(CLASS_NAMES))],
                x=distance * np.cos(angle),
                y=distance * np.sin(angle),
                radius=radius,
                turn=dice.uniform(0, 2 * np.pi),
                colour=_COLOURS[dice.integers(len(_COLOURS))],
            )
        )
    return tuple(parts)


def _ground(across: Field, down: Field, dice: np.random.Generator) -> Field:
    near, far = dice.uniform(0.2, 0.8, size=(2, 3, 1, 1))
    angle = dice.uniform(0, 2 * np.pi)
    along = 0.5 + (across - 0.5) * np.cos(angle) + (down - 0.5) * np.sin(angle)
    ground: Field = near + (far - near) * np.clip(along, 0, 1)
    return ground


def _emblems_frame(across: Field, down: Field, dice: np.random.Generator) -> tuple[Field, Field]:
    """Coordinates of an emblem that is moved, turned, seen from some distance and a little sideways."""
    radius = dice.uniform(_LEAST_SIZE, _MOST_SIZE)
    centre_x, centre_y = dice.uniform(radius, 1 - radius, size=2)
    turn = dice.uniform(-_MOST_TURN, _MOST_TURN)
    squeeze = dice.uniform(0.85, 1.0)
    x, y = (across - centre_x) / radius, (down - centre_y) / radius
    turned_x = x * np.cos(turn) + y * np.sin(turn)
    turned_y = y * np.cos(turn) - x * np.sin(turn)
    return turned_x / squeeze, turned_y


def _covers(part: _Part, x: Field, y: Field) -> NDArray[np.bool_]:
    moved_x, moved_y = (x - part.x) / part.radius, (y - part.y) / part.radius
    turned_x = moved_x * np.cos(part.turn) + moved_y * np.sin(part.turn)
    turned_y = moved_y * np.cos(part.turn) - moved_x * np.sin(part.turn)
    return SHAPES[part.shape](turned_x, turned_y)


def _covered_by_a_bar(
    picture: Field, across: Field, down: Field, dice: np.random.Generator
) -> Field:
    is_hit, angle = dice.random() < _BAR_PROBABILITY, dice.uniform(0, np.pi)
    offset, width = dice.uniform(-0.3, 0.3), dice.uniform(0.04, 0.1)
    colour = dice.random((3, 1, 1))
    if not is_hit:
        return picture
    distance = (across - 0.5) * np.cos(angle) + (down - 0.5) * np.sin(angle) - offset
    covered: Field = np.where(np.abs(distance) < width, colour, picture)
    return covered
