"""The parts of an anomaly run: good pictures to learn from, others to settle the threshold with, good and bad
ones to be judged on.

What the data do not name is held out of the good pictures. Where there are no bad ones, defects are drawn
on the good test pictures by `training.data.defects`, and the note says that the figures are about those.

Letters: N pictures, S side of the canvas in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.blocks import ImagePreprocessing
from training.data import surfaces
from training.data.defects import KINDS, draw_defect
from training.data.images import channel_statistics
from training.data.inspected_pictures import (
    GOOD,
    InspectedPicture,
    InspectedSplit,
    collect_inspected,
    read_inspected_pictures,
)
from training.data.labelled_pictures import TEST_FRACTION
from training.errors import DataError
from training.tasks.anomaly_settings import AnomalyConfig

_LEAST_TRAIN, _LEAST_VALIDATION, _LEAST_TEST = 4, 2, 2  # good pictures
_SAMPLED = 200  # pictures looked at to settle the side
_MULTIPLE = 32  # of the side, in pixels: the coarsest maps have whole cells


@dataclass(frozen=True)
class Inspection:
    """`train` and `validation` hold good pictures only. `note` says where the bad ones come from."""

    name: str
    block: ImagePreprocessing
    train: InspectedSplit
    validation: InspectedSplit
    test: InspectedSplit
    sha256: str
    note: str

    @property
    def side(self) -> int:
        return self.block.height


def prepare_inspection(path: Path | None, config: AnomalyConfig, side: int) -> Inspection:
    """Read, place on the canvas and split. `side` 0: the data's own. Raises DataError."""
    data = _own(config, side) if path is None else _given(path, config, side)
    mean, std = channel_statistics(data.train.pixels)
    return replace(data, block=data.block.model_copy(update={"mean": mean, "std": std}))


def _own(config: AnomalyConfig, side: int) -> Inspection:
    wanted = config.surfaces
    side = side or wanted.side
    counts = (wanted.train, wanted.validation, wanted.test)
    splits: tuple[surfaces.SplitName, ...] = ("train", "validation", "test")
    train, validation, test = (
        surfaces.draw_good(split, count, side) for split, count in zip(splits, counts, strict=True)
    )
    bad, masks, kinds = surfaces.draw_bad(wanted.bad, side)
    none = np.zeros((len(test), side, side), dtype=bool)
    judged = InspectedSplit(
        np.concatenate([test, bad]), (GOOD,) * len(test) + kinds, np.concatenate([none, masks])
    )
    return Inspection(
        name="drawn-cloth",
        block=_block(config, side),
        train=_good(train),
        validation=_good(validation),
        test=judged,
        sha256=surfaces.sha256(train, validation, judged.pixels),
        note="drawn, with drawn defects",
    )


def _given(path: Path, config: AnomalyConfig, side: int) -> Inspection:
    found = read_inspected_pictures(path)
    train, validation, test = _divided(path, found.pictures, config)
    block = _block(config, side or _own_side(train, config))
    judged = collect_inspected(test, block)
    note = "as the data say"
    if not judged.is_bad.any():
        judged = with_drawn_defects(judged, config.seed)
        note = f"no bad pictures given: drawn defects ({', '.join(KINDS)}) on the good ones"
    return Inspection(
        name=found.name,
        block=block,
        train=collect_inspected(train, block),
        validation=collect_inspected(validation, block),
        test=judged,
        sha256=found.sha256,
        note=note,
    )


def with_drawn_defects(good: InspectedSplit, seed: int) -> InspectedSplit:
    """The good pictures, and behind them each once more with a defect of the next kind."""
    kinds = tuple(KINDS[row % len(KINDS)] for row in range(len(good)))
    drawn = [
        draw_defect(kind, pixels, np.random.default_rng((seed, row)))
        for row, (kind, pixels) in enumerate(zip(kinds, good.pixels, strict=True))
    ]
    masks = np.stack([np.zeros_like(mask) for _, mask in drawn] + [mask for _, mask in drawn])
    pixels = np.concatenate([good.pixels, np.stack([picture for picture, _ in drawn])])
    return InspectedSplit(pixels, good.kinds + kinds, masks)


def _divided(
    path: Path, pictures: Sequence[InspectedPicture], config: AnomalyConfig
) -> tuple[list[InspectedPicture], list[InspectedPicture], list[InspectedPicture]]:
    """Train, validation and test; the first two good."""
    train = [picture for picture in pictures if picture.split == "train"]
    validation = [picture for picture in pictures if picture.split == "validation"]
    test = [picture for picture in pictures if picture.split == "test"]
    if not any(picture.kind == GOOD for picture in test):
        train, more = _held_out(train, TEST_FRACTION, _LEAST_TEST, config.seed)
        test = [*more, *test]
    if not validation:
        train, validation = _held_out(
            train, config.validation_fraction, _LEAST_VALIDATION, config.seed + 1
        )
    if len(train) < _LEAST_TRAIN:
        good = sum(picture.kind == GOOD for picture in pictures)
        raise DataError(
            f"{path}: {good} good pictures leave {len(train)} to learn from; at least "
            f"{_LEAST_TRAIN} are needed beside {_LEAST_VALIDATION} to validate and {_LEAST_TEST} to test"
        )
    return train, validation, test


def _held_out(
    pictures: list[InspectedPicture], fraction: float, least: int, seed: int
) -> tuple[list[InspectedPicture], list[InspectedPicture]]:
    order = np.random.default_rng(seed).permutation(len(pictures))
    chosen = set(order[: max(least, round(fraction * len(pictures)))].tolist())
    parts: tuple[list[InspectedPicture], list[InspectedPicture]] = ([], [])
    for row, picture in enumerate(pictures):
        parts[row in chosen].append(picture)
    return parts


def _good(pixels: surfaces.Pixels) -> InspectedSplit:
    return InspectedSplit(pixels, (GOOD,) * len(pixels))


def _own_side(pictures: Sequence[InspectedPicture], config: AnomalyConfig) -> int:
    """The median longer side of a sample, rounded and bounded."""
    step = max(1, len(pictures) // _SAMPLED)
    median = float(np.median([max(picture.load().size) for picture in pictures[::step]]))
    most = config.canvas.largest // _MULTIPLE
    return _MULTIPLE * min(max(1, round(median / _MULTIPLE)), most)


def _block(config: AnomalyConfig, side: int) -> ImagePreprocessing:
    canvas = config.canvas
    return ImagePreprocessing(
        input="image",
        height=side,
        width=side,
        interpolation=canvas.interpolation,
        fit=canvas.fit,
    )
