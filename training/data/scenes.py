"""Scenes: handwritten digits and drawn shapes on textured grounds, with exact boxes and masks.

What the recipes that look *into* pictures learn when they are given no data: detection, segmentation,
anomaly detection. Things are scikit-learn's digits, enlarged from 8×8 pixels and coloured, and shapes of
`training.data.shapes`, turned and coloured. Place, size and colour are drawn independently of the class;
a thing's colour keeps a distance from the ground around it; later things lie over earlier ones, but
hide little of them. Grounds are two colours that flow into each other, stripes or chequers, and noise.

The generator is this file: scene `index` of split `split` is made from the seed (split, index) alone. Digits
of test scenes come from pictures that no training scene shows.

Letters: S side of a scene in pixels, M things in it, D side of one thing's window.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data import digits
from training.data.shapes import SHAPES

Field = NDArray[np.float64]
SplitName = Literal["train", "validation", "test"]
Things = Literal["all", "shapes"]

_SHAPES: Final = ("disc", "square", "triangle", "star", "cross")
CLASS_NAMES = (*digits.CLASS_NAMES, *_SHAPES)
BACKGROUND = "background"

_SPLITS: Final = {"train": 0, "validation": 1, "test": 2}
_LEAST_SIZE, _MOST_SIZE = 0.22, 0.45  # of a thing, parts of the scene's side
_MOST_THINGS = 4
_MOST_HIDDEN = 0.1  # of the smaller one of two things' boxes
_TRIES = 30  # places tried for a thing before the scene does without it
_LEAST_CONTRAST = 0.28  # mean difference of the channels' values, of 1
_MOST_NOISE = 0.05  # deviation, of 1
_OVERSAMPLING = 3


@dataclass(frozen=True)
class Scene:
    """`pixels` uint8 [3, S, S]; `boxes` float32 [M, 4] as x_min, y_min, x_max, y_max around what is
    visible; `labels` int64 [M] into `class_names`; `mask` uint8 [S, S]: 0 ground, else label + 1."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    mask: NDArray[np.uint8]


def class_names(things: Things) -> tuple[str, ...]:
    """Of digits and shapes, or of shapes alone, which are learned sooner."""
    return CLASS_NAMES if things == "all" else _SHAPES


def draw_scenes(split: SplitName, count: int, side: int, things: Things = "all") -> list[Scene]:
    """The first `count` scenes of a split."""
    return [
        draw_scene(np.random.default_rng((_SPLITS[split], index)), side, split, things)
        for index in range(count)
    ]


def draw_scene(
    generator: np.random.Generator,
    side: int,
    split: SplitName = "train",
    things: Things = "all",
) -> Scene:
    """One scene of one to four things; `split` says whose digits may be in it."""
    pixels = draw_ground(generator, side)
    instances = np.full((side, side), -1)
    names = class_names(things)
    labels: list[int] = []
    placed: list[tuple[int, int, int]] = []
    for _ in range(generator.integers(1, _MOST_THINGS + 1)):
        label = int(generator.integers(len(names)))
        size = max(8, int(side * generator.uniform(_LEAST_SIZE, _MOST_SIZE)))
        place = _free_place(generator, side, size, placed)
        if place is None:
            continue
        coverage = draw_thing(names[label], size, generator, split)
        top, left = place
        window = (slice(top, top + size), slice(left, left + size))
        pixels[:, *window] = _coloured(pixels[:, *window], coverage, generator)
        instances[window][coverage >= 0.5] = len(labels)
        labels.append(label)
        placed.append((top, left, size))
    pixels += generator.normal(scale=generator.uniform(0.01, _MOST_NOISE), size=pixels.shape)
    return _annotated(pixels, instances, np.asarray(labels, dtype=np.int64))


def draw_ground(generator: np.random.Generator, side: int) -> Field:
    """[3, S, S] in 0–1: two colours that flow into each other, with a faint pattern."""
    near, far = generator.random((2, 3, 1, 1))
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(steps, steps)
    angle = generator.uniform(0, 2 * np.pi)
    along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    ground = near + (far - near) * np.clip(0.5 + along, 0, 1)
    waves = 2 * np.pi * generator.uniform(2, 8)
    across = (x - 0.5) * np.sin(angle) - (y - 0.5) * np.cos(angle)
    patterns = (
        np.zeros_like(x),
        np.sign(np.sin(waves * along)),
        np.sign(np.sin(waves * along) * np.sin(waves * across)),
        np.sin(waves * along),
    )
    pattern: Field = patterns[generator.integers(len(patterns))]
    painted: Field = ground + generator.uniform(0.02, 0.08) * pattern
    return painted


def draw_thing(
    name: str, size: int, generator: np.random.Generator, split: SplitName = "train"
) -> Field:
    """How much of each pixel a thing of class `name` covers, 0–1 [D, D]; it fills the window nearly."""
    if name in digits.CLASS_NAMES:
        strokes = _digit(digits.CLASS_NAMES.index(name), split, generator).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        return np.clip((np.asarray(strokes, dtype=np.float64) - 90) / 60, 0, 1)
    fine = _OVERSAMPLING * size
    steps = 2.2 * ((np.arange(fine) + 0.5) / fine - 0.5)
    x, y = np.meshgrid(steps, steps)
    angle = generator.uniform(-np.pi / 6, np.pi / 6)
    turned_x = x * np.cos(angle) + y * np.sin(angle)
    turned_y = y * np.cos(angle) - x * np.sin(angle)
    inside = SHAPES[name](turned_x, turned_y).astype(np.float64)
    coverage: Field = inside.reshape(size, _OVERSAMPLING, size, _OVERSAMPLING).mean(axis=(1, 3))
    return coverage


def sha256(scenes: list[Scene]) -> str:
    """Of everything that was drawn."""
    digest = hashlib.sha256()
    for scene in scenes:
        for part in (scene.pixels, scene.boxes, scene.labels, scene.mask):
            digest.update(part.tobytes())
    return digest.hexdigest()


def _free_place(
    generator: np.random.Generator, side: int, size: int, placed: list[tuple[int, int, int]]
) -> tuple[int, int] | None:
    """Row and column where a window hides little of the others, and they of it; None if none is found."""
    for _ in range(_TRIES):
        top, left = (int(corner) for corner in generator.integers(0, side - size + 1, size=2))
        if all(_shared(top, left, size, other) <= _MOST_HIDDEN for other in placed):
            return top, left
    return None


def _shared(top: int, left: int, size: int, other: tuple[int, int, int]) -> float:
    """The common part of two windows, of the smaller one's area."""
    height = min(top + size, other[0] + other[2]) - max(top, other[0])
    width = min(left + size, other[1] + other[2]) - max(left, other[1])
    return max(0, height) * max(0, width) / min(size, other[2]) ** 2


def _coloured(window: Field, coverage: Field, generator: np.random.Generator) -> Field:
    ground = window.mean(axis=(1, 2), keepdims=True)
    colour = generator.random((3, 1, 1))
    while np.abs(colour - ground).mean() < _LEAST_CONTRAST:
        colour = generator.random((3, 1, 1))
    return window + (colour - window) * coverage


def _annotated(pixels: Field, instances: NDArray[np.int_], labels: NDArray[np.int64]) -> Scene:
    """Boxes around what is left of each thing; a thing of which nothing is left has none."""
    boxes, kept = [], []
    mask = np.zeros(instances.shape, dtype=np.uint8)
    for number, label in enumerate(labels):
        rows, columns = np.nonzero(instances == number)
        if len(rows):
            mask[rows, columns] = label + 1
            boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            kept.append(number)
    levels = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    corners = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    return Scene(levels, corners, labels[kept], mask)


def _digit(label: int, split: SplitName, generator: np.random.Generator) -> Image.Image:
    pool = _digit_pictures("test" if split == "test" else "train")[label]
    return Image.fromarray(pool[generator.integers(len(pool))])


@cache
def _digit_pictures(split: Literal["train", "test"]) -> tuple[NDArray[np.uint8], ...]:
    """Per class, uint8 [n, 8, 8]."""
    data = digits.read_digits()
    rows = data.train if split == "train" else data.test
    return tuple(rows.pixels[rows.labels == label, 0] for label in range(len(data.class_names)))
