"""Pictures of shapes, drawn on the spot: what the image recipes learn when they are given no data.

Ten classes: disc, ring, half-disc, square, frame, triangle, star, cross, heart, crescent. Colour, texture
(plain, stripes, chequers, dots), place, size, rotation and the background (a slope between two colours
under noise) are drawn independently of the class, so that nothing but the shape tells it. The
shape's colour keeps a distance from the background's. A picture is drawn at twice its side and averaged,
which smooths the edges.

The generator is this file: number `index` of split `split` is made from the seed (split, index) alone,
so the first thousand pictures are the same whether a thousand or a million are asked for.

Letters: H height and W width of the canvas in pixels. Coordinates are in a shape's own frame, about −1…1.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.data.images import ImageData, ImageSplit

Field = NDArray[np.float64]
Mask = NDArray[np.bool_]

_TRAIN, _TEST = 0, 1
_OVERSAMPLING = 2
_LEAST_RADIUS, _MOST_RADIUS = 0.22, 0.42  # parts of the side
_LEAST_CONTRAST = 0.25  # mean difference of the channels' values, of 1
_MOST_NOISE = 0.12  # deviation, of 1


def _disc(x: Field, y: Field) -> Mask:
    return x**2 + y**2 < 1


def _ring(x: Field, y: Field) -> Mask:
    return _disc(x, y) & (x**2 + y**2 > 0.35)


def _half_disc(x: Field, y: Field) -> Mask:
    return _disc(x, y - 0.4) & (y < 0.4)


def _square(x: Field, y: Field) -> Mask:
    return np.maximum(np.abs(x), np.abs(y)) < 0.85


def _frame(x: Field, y: Field) -> Mask:
    return _square(x, y) & (np.maximum(np.abs(x), np.abs(y)) > 0.5)


def _triangle(x: Field, y: Field) -> Mask:
    return (y < 0.7) & (y > 1.8 * np.abs(x) - 1.0)


def _star(x: Field, y: Field) -> Mask:
    angle = np.arctan2(y, x)
    result: Mask = np.hypot(x, y) < 0.68 + 0.36 * np.cos(5 * angle)
    return result


def _cross(x: Field, y: Field) -> Mask:
    arms = np.minimum(np.abs(x), np.abs(y)) < 0.28
    return arms & (np.maximum(np.abs(x), np.abs(y)) < 0.95)


def _heart(x: Field, y: Field) -> Mask:
    x, y = 1.25 * x, -1.25 * y + 0.1
    result: Mask = (x**2 + y**2 - 1) ** 3 < x**2 * y**3
    return result


def _crescent(x: Field, y: Field) -> Mask:
    return _disc(x, y) & ~_disc((x - 0.5) / 0.8, y / 0.8)


SHAPES: Final[dict[str, Callable[[Field, Field], Mask]]] = {
    "disc": _disc,
    "ring": _ring,
    "half-disc": _half_disc,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "crescent": _crescent,
}
CLASS_NAMES = tuple(SHAPES)


def read_shapes(train: int, test: int, side: int) -> ImageData:
    """So many pictures of each split, uint8 [N, 3, side, side]; classes take turns."""
    splits = [_draw_split(split, count, side) for split, count in ((_TRAIN, train), (_TEST, test))]
    digest = hashlib.sha256(b"".join(split.pixels.tobytes() for split in splits))
    return ImageData(
        name="drawn-shapes",
        class_names=CLASS_NAMES,
        train=splits[0],
        test=splits[1],
        sha256=digest.hexdigest(),
        note="drawn by another row of seeds",
    )


def draw_shape(label: int, side: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """One picture, uint8 [3, side, side], of class `label`."""
    canvas = _OVERSAMPLING * side
    steps = (np.arange(canvas) + 0.5) / canvas
    across, down = np.meshgrid(steps, steps)
    background, near, far = _background(across, down, generator)
    radius = generator.uniform(_LEAST_RADIUS, _MOST_RADIUS)
    x, y = _own_frame(across, down, radius, generator)
    mask = SHAPES[CLASS_NAMES[label]](x, y)
    picture = np.where(mask, _texture(x, y, (near + far) / 2, generator), background)
    small = picture.reshape(3, side, _OVERSAMPLING, side, _OVERSAMPLING).mean(axis=(2, 4))
    small += generator.normal(scale=generator.uniform(0, _MOST_NOISE), size=small.shape)
    levels: NDArray[np.uint8] = np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
    return levels


def _draw_split(split: int, count: int, side: int) -> ImageSplit:
    labels = np.arange(count, dtype=np.int64) % len(CLASS_NAMES)
    pixels = [
        draw_shape(int(label), side, np.random.default_rng((split, index)))
        for index, label in enumerate(labels)
    ]
    return ImageSplit(np.stack(pixels), labels)


def _background(
    across: Field, down: Field, generator: np.random.Generator
) -> tuple[Field, Field, Field]:
    """A slope between two colours: [3, H, W], and the colours [3, 1, 1]."""
    near, far = generator.random((2, 3, 1, 1))
    angle = generator.uniform(0, 2 * np.pi)
    along = 0.5 + (across - 0.5) * np.cos(angle) + (down - 0.5) * np.sin(angle)
    return near + (far - near) * np.clip(along, 0, 1), near, far


def _own_frame(
    across: Field, down: Field, radius: float, generator: np.random.Generator
) -> tuple[Field, Field]:
    """Coordinates of a shape that is moved, turned by up to 30° and as large as `radius`."""
    centre_x, centre_y = generator.uniform(radius, 1 - radius, size=2)
    angle = generator.uniform(-np.pi / 6, np.pi / 6)
    x, y = (across - centre_x) / radius, (down - centre_y) / radius
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def _texture(x: Field, y: Field, ground: Field, generator: np.random.Generator) -> Field:
    """[3, H, W]: two shades of a colour that is far enough from the background's, in a pattern."""
    colour = generator.random((3, 1, 1))
    while np.abs(colour - ground).mean() < _LEAST_CONTRAST:
        colour = generator.random((3, 1, 1))
    shade = np.clip(colour * generator.uniform(0.6, 1.0), 0, 1)
    waves = generator.uniform(2, 4)
    patterns = (
        np.zeros_like(x, dtype=bool),
        np.sin(waves * np.pi * x) > 0,
        (np.sin(waves * np.pi * x) > 0) ^ (np.sin(waves * np.pi * y) > 0),
        np.sin(waves * np.pi * x) * np.sin(waves * np.pi * y) > 0.4,
    )
    return np.where(patterns[generator.integers(len(patterns))], shade, colour)
