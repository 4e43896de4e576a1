"""Pictures by identity: what image embedding learns from and, with other identities, is judged on.

Reads what image classification reads (folder, archive, table), a class folder an identity. Where the data
name no test pictures, whole identities are held out, so that the figures are about things nobody has
learned; where there are too few of those, pictures of every identity are, and the note says so. The same
goes for validation, which settles the threshold.

Letters: N pictures.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.blocks import ImagePreprocessing
from training.data import emblems
from training.data.image_source import block_of, read_pictures, resized_split, settled_side
from training.data.images import (
    ImageSplit,
    SplitName,
    channel_statistics,
    collect,
    stratified_rows,
)
from training.data.labelled_pictures import LabelledPictures, stem_of
from training.errors import DataError
from training.tasks.embedding_settings import ImageEmbeddingConfig

_LEAST_HELD_OUT = 2  # identities: with one there is nothing to confuse it with
_LEAST_LEFT = 4  # identities to go on learning from, when some are held out

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class IdentityData:
    """Labels of all three splits count through `names`; `note` says how the test pictures came about."""

    name: str
    names: tuple[str, ...]
    block: ImagePreprocessing
    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    sha256: str
    note: str

    @property
    def channels(self) -> int:
        return int(self.train.pixels.shape[1])

    @property
    def side(self) -> int:
        return self.block.height

    @property
    def unseen(self) -> int:
        """Identities of the test split that no training picture shows."""
        return len(np.setdiff1d(self.test.labels, self.train.labels))


def prepare_identities(path: Path | None, config: ImageEmbeddingConfig) -> IdentityData:
    """Read, resize and split. Raises DataError."""
    data = _own(config) if path is None else _given(path, config)
    _require_pairs(str(path or data.name), data)
    mean, std = channel_statistics(data.train.pixels)
    return replace(data, block=data.block.model_copy(update={"mean": mean, "std": std}))


def hold_out(split: ImageSplit, fraction: float, seed: int) -> tuple[ImageSplit, ImageSplit, bool]:
    """(kept, held out, whether whole identities were held out). Of identities with a single picture
    none is held out: nothing could be compared with it."""
    labels, counts = np.unique(split.labels, return_counts=True)
    comparable = labels[counts >= 2]
    count = max(_LEAST_HELD_OUT, round(fraction * len(comparable)))
    if len(comparable) - count >= _LEAST_LEFT:
        chosen = np.random.default_rng(seed).permutation(comparable)[:count]
        is_out = np.isin(split.labels, chosen)
        return split.take(np.flatnonzero(~is_out)), split.take(np.flatnonzero(is_out)), True
    kept, out = stratified_rows(split.labels, fraction, seed)
    return split.take(kept), split.take(out), False


def _own(config: ImageEmbeddingConfig) -> IdentityData:
    wanted = config.emblems
    side = config.image.side or wanted.side
    block = block_of(config.image, side, is_grey=False)
    counts: dict[SplitName, int] = {
        "train": wanted.identities,
        "validation": wanted.validation,
        "test": wanted.test,
    }
    splits: list[ImageSplit] = []
    names: list[str] = []
    for split, count in counts.items():
        drawn = emblems.draw_emblems(split, count, wanted.pictures, side)
        first = len(names)
        names += emblems.identity_names(split, count)
        numbered = ImageSplit(drawn.pixels, drawn.labels + first)
        splits.append(resized_split(numbered, tuple(names), block))
    train, validation, test = splits
    return IdentityData(
        name="drawn-emblems",
        names=tuple(names),
        block=block,
        train=train,
        validation=validation,
        test=test,
        sha256=emblems.sha256(splits),
        note="drawn",
    )


def _given(path: Path, config: ImageEmbeddingConfig) -> IdentityData:
    pictures = read_pictures(path, is_open=True)
    traits = pictures.traits()
    side = settled_side(config.image, traits.side)
    block = block_of(config.image, side, is_grey=traits.is_grey)
    train, validation, test = (_collect(pictures, split, block) for split in SPLITS)
    note = "as the data say"
    if not len(test):
        train, test, is_whole = hold_out(train, config.test_fraction, config.seed)
        part = "of the identities" if is_whole else "of each identity's pictures"
        note = f"none given: {config.test_fraction:.0%} {part} held out, seed {config.seed}"
    if not len(validation):
        train, validation, _ = hold_out(train, config.validation_fraction, config.seed)
    return IdentityData(
        name=stem_of(path),
        names=pictures.class_names,
        block=block,
        train=train,
        validation=validation,
        test=test,
        sha256=pictures.sha256,
        note=note,
    )


def _collect(pictures: LabelledPictures, split: SplitName, block: ImagePreprocessing) -> ImageSplit:
    chosen = (picture for picture in pictures.pictures if picture.split == split)
    return collect(chosen, pictures.class_names, block)


def _require_pairs(where: str, data: IdentityData) -> None:
    """Something alike and something else in every part, or there is nothing to learn or to judge."""
    for name, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
        _, counts = np.unique(split.labels, return_counts=True)
        if len(counts) < _LEAST_HELD_OUT or counts.max(initial=0) < 2:
            raise DataError(
                f"{where}: the {name} part has {len(counts)} identities with up to "
                f"{counts.max(initial=0)} pictures; it needs two identities, and two pictures of one: "
                "add pictures, or name the parts yourself (train/, val/, test/)"
            )
