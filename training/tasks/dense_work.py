"""What detection and segmentation do alike: reading pictures, laying them on a canvas, splitting them.

Letters: N pictures, S side of the canvas in pixels.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.blocks import ImagePreprocessing
from training.data import scenes
from training.data.folds import fold_rows
from training.data.held_out import three_splits
from training.data.images import SplitName, channel_statistics, normalise
from training.tasks.dense_settings import DenseRunConfig
from training.work import Array, Arrays, Predict, Work

EVALUATION_BATCH = 64
_SAMPLED = 200  # pictures looked at to settle the side, and to learn mean and deviation from
_MULTIPLE = 32  # of the side, in pixels: the coarsest maps have whole cells
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class DensePicture(Protocol):
    @property
    def split(self) -> SplitName: ...

    @property
    def load(self) -> Callable[[], Image.Image]: ...


class DenseSplit(Protocol):
    """`pixels` uint8 [N, 3, S, S]."""

    @property
    def pixels(self) -> Array: ...

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[np.int64]) -> Self: ...

    def joined(self, other: Self) -> Self: ...


ConfigT = TypeVar("ConfigT", bound=DenseRunConfig)
PictureT = TypeVar("PictureT", bound=DensePicture)
SplitT = TypeVar("SplitT", bound=DenseSplit)


class Found(Protocol[PictureT]):  # type: ignore[misc]  # pictures are read only
    """A data set that has been understood but not decoded."""

    @property
    def name(self) -> str: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    @property
    def pictures(self) -> Sequence[PictureT]: ...

    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class DenseData(Generic[SplitT]):
    """Three disjoint splits, and the block that lays a picture on the canvas."""

    name: str
    class_names: tuple[str, ...]
    block: ImagePreprocessing
    train: SplitT
    validation: SplitT
    test: SplitT
    sha256: str
    note: str

    @property
    def side(self) -> int:
        return self.block.height


class DenseWork(Work[ConfigT], Generic[ConfigT, PictureT, SplitT]):
    """One run. `prepare` must come first."""

    prepared: DenseData[SplitT]

    @abstractmethod
    def read(self, path: Path) -> Found[PictureT]:
        """Understand `--data`. Raises DataError."""

    @abstractmethod
    def collect(self, pictures: Sequence[PictureT], block: ImagePreprocessing) -> SplitT:
        """Decode and place. Raises DataError."""

    @abstractmethod
    def of_scenes(self, drawn: Sequence[scenes.Scene]) -> SplitT: ...

    @abstractmethod
    def scene_classes(self) -> tuple[str, ...]: ...

    def prepare(self) -> None:
        self.prepared = self._own() if self.data is None else self._given(self.data)

    def fold(self, number: int, count: int) -> Self:
        """Folds are not stratified: a picture shows several classes."""
        config, data = self.config, self.prepared
        fold = type(self)(config, self.data)
        everything = data.train.joined(data.validation)
        rows = fold_rows(
            np.zeros(len(everything), dtype=np.int64),
            number,
            count,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
        )
        parts = [everything.take(part) for part in (rows.train, rows.validation, rows.test)]
        fold.prepared = self._data(
            data.name, data.class_names, data.block, parts, data.sha256, data.note
        )
        return fold

    def data_summary(self) -> dict[str, str]:
        data, block = self.prepared, self.prepared.block
        rows: dict[str, str] = {
            split: f"{len(part):,} pictures{self.count_marks(part)}"
            for split, part in zip(SPLITS, (data.train, data.validation, data.test), strict=True)
        }
        rows["test"] += f" ({data.note})"
        return {
            "data set": f"{data.name}: {len(data.class_names)} classes",
            "canvas": f"{data.side}×{data.side}, {block.fit}, {block.interpolation} resampling",
            **rows,
        }

    def count_marks(self, part: SplitT) -> str:  # noqa: ARG002
        """How much is marked in a split, for the summary."""
        return ""

    def data_sha256(self) -> str:
        return self.prepared.sha256

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Test pictures, float32 [batch, 3, S, S]; repeated where there are too few."""
        order = np.random.default_rng(0).permutation(len(self.prepared.test))
        pixels = self.prepared.test.pixels[np.resize(order, batch)]
        return {"image": normalise(pixels, self.prepared.block)}

    def ask(self, pixels: Array, predict: Predict) -> Iterator[tuple[int, Arrays]]:
        """First row and the graph's outputs for uint8 [N, 3, S, S], batch by batch: together they may not
        fit into memory."""
        for start in range(0, len(pixels), EVALUATION_BATCH):
            rows = pixels[start : start + EVALUATION_BATCH]
            yield start, predict({"image": normalise(rows, self.prepared.block)})

    def _own(self) -> DenseData[SplitT]:
        wanted = self.config.scenes
        side = self.config.canvas.side or wanted.side
        counts = zip(SPLITS, (wanted.train, wanted.validation, wanted.test), strict=True)
        drawn = {
            split: scenes.draw_scenes(split, count, side, wanted.things) for split, count in counts
        }
        return self._data(
            "scenes",
            self.scene_classes(),
            self._block(side),
            [self.of_scenes(drawn[split]) for split in SPLITS],
            scenes.sha256([scene for split in SPLITS for scene in drawn[split]]),
            "drawn, with digits of their own" if wanted.things == "all" else "drawn",
        )

    def _given(self, path: Path) -> DenseData[SplitT]:
        found = self.read(path)
        parts, note = three_splits(
            str(path), found.pictures, self.config.validation_fraction, self.config.seed
        )
        block = self._block(self.config.canvas.side or self._side(parts["train"]))
        splits = [self.collect(parts[split], block) for split in SPLITS]
        return self._data(found.name, found.class_names, block, splits, found.sha256, note)

    def _side(self, pictures: Sequence[PictureT]) -> int:
        """The median longer side of a sample, rounded and bounded."""
        step = max(1, len(pictures) // _SAMPLED)
        sides = [max(picture.load().size) for picture in pictures[::step]]
        rounded = _MULTIPLE * max(1, round(float(np.median(sides)) / _MULTIPLE))
        return min(rounded, self.config.canvas.largest)

    def _block(self, side: int) -> ImagePreprocessing:
        canvas = self.config.canvas
        return ImagePreprocessing(
            input="image",
            height=side,
            width=side,
            interpolation=canvas.interpolation,
            fit=canvas.fit,
        )

    def _data(
        self,
        name: str,
        class_names: tuple[str, ...],
        block: ImagePreprocessing,
        splits: Sequence[SplitT],
        sha256: str,
        note: str,
    ) -> DenseData[SplitT]:
        train, validation, test = splits
        step = max(1, len(train) // _SAMPLED)
        mean, std = channel_statistics(train.pixels[::step])
        stated = block.model_copy(update={"mean": mean, "std": std})
        return DenseData(name, class_names, stated, train, validation, test, sha256, note)
