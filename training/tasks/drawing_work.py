"""What every kind of work that draws pictures does alike: being judged, and showing samples.

A generator has no right answers to compare with. It is judged by whether a classifier recognises the class
that was asked for; by how far its pictures as a whole lie from real ones in that classifier's features; and
by whether they differ from each other, and from the training pictures, as real ones do.

Letters: N items, C channels, S side in pixels, K classes.
"""

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from models.blocks import ImagePostprocessing
from models.errors import UsageError
from models.manifest import Evaluation
from training import drawing_metrics, metrics, plots
from training.data.images import ImageData
from training.data.shapes import read_shapes
from training.tasks.drawing_settings import DrawingConfig
from training.tasks.image_judge import Judge, train_judge
from training.tasks.image_work import ImageWork
from training.work import Array, CardTable, Predict

DrawingConfigT = TypeVar("DrawingConfigT", bound=DrawingConfig)

UNCONDITIONAL_PROMPT = "any"
"""The one name of a generator that is not told a class."""

_SHOWN_PER_CLASS = 10
_SHOWN_CLASSES = 20
_SHOWN_ROWS = 6  # where there are no classes
_SHOWN_SIDE = 128  # pixels, about; tiny pictures are enlarged for people
_LIKENESS_TITLE = "How the pictures are judged"


class DrawingWork(ImageWork[DrawingConfigT]):
    """A subclass says how pictures are drawn. `prepare` must come first."""

    # Rounding would change what a seed draws, and the figures would hardly notice.
    takes_runtime_settings: ClassVar[bool] = False

    @abstractmethod
    def draw(self, labels: Array, seed: int, predict: Predict) -> Array:
        """A picture of each of `labels` int64 [N], float32 [N, C, S, S] in 0–1; the same for equal seeds."""

    def own_pictures(self) -> ImageData:
        shapes = self.config.shapes
        if self.config.own_data == "shapes":
            return read_shapes(shapes.train, shapes.test, shapes.side)
        return super().own_pictures()

    def require_side(self, multiple: int, setting: str) -> None:
        """Raises UsageError for pictures that cannot be halved as often as `setting` says."""
        side = self.images.side
        if side % multiple:
            raise UsageError(
                f"pictures of {side}×{side} pixels cannot be halved as {setting} says: set image.side to "
                f"a multiple of {multiple}, e.g. {max(8, round(side / multiple) * multiple)}"
            )

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Recognition (main, where a class is asked for), Fréchet distance, variety and novelty."""
        labels = np.arange(self.config.samples_per_class * self.classes, dtype=np.int64)
        labels %= self.classes
        pictures = self.draw(labels, self.config.seed, predict)
        seen, features = self.judge.look(pictures)
        figures = (
            self._frechet(features),
            *self._variety(pictures, seen),
            self.judge.accuracy,
        )
        return (self._recognised(labels, seen), *figures) if self.is_conditional else figures

    def write_assets(self, folder: Path) -> None:
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in self.prompts))

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: a row of pictures for each class."""
        rows = min(self.classes, _SHOWN_CLASSES) if self.is_conditional else _SHOWN_ROWS
        labels = np.repeat(np.arange(rows, dtype=np.int64), _SHOWN_PER_CLASS)
        pictures = self.draw(labels, 0, predict)
        sheet = pictures.reshape(rows, _SHOWN_PER_CLASS, *pictures.shape[1:])
        plots.montage(folder / "samples.png", list(sheet), self.captions(rows))

    def captions(self, rows: int) -> list[str]:
        """Of so many rows of pictures, a class each where there are classes."""
        return list(self.prompts[:rows]) if self.is_conditional else [""] * rows

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:  # noqa: ARG002
        judge = f"a small residual classifier, accuracy {self.judge.accuracy.value:.1%} on test pictures"
        rows = (
            ("recognised", f"share in which the judge ({judge}) sees the class that was asked for"),
            ("frechet-distance", "between drawn and real pictures in the judge's own features"),
            (
                "diversity-of-real",
                "spread of a class's pixels, 1 as real ones; 0: always one picture",
            ),
            (
                "nearest-drawn",
                "median distance to the most like drawn picture, 1 as among real ones",
            ),
            (
                "nearest-training",
                "median distance to the most like training picture, 1 as test pictures",
            ),
            ("classes-drawn", "how evenly the judge sees all classes, 1: equally often"),
        )
        note = (
            "The Fréchet distance is not the FID of papers, whose features are another network's: compare it "
            "with `halves-of-real`, the distance between two halves of the real pictures, and with models "
            "of the same data only."
        )
        return (CardTable(_LIKENESS_TITLE, ("figure", "meaning"), rows, note),)

    def quantization_candidates(self) -> tuple[str, ...]:
        """None: dynamic int8 takes one scale from a whole batch, so that a neighbour's picture would change
        what a seed draws."""
        return ()

    @cached_property
    def judge(self) -> Judge:
        """Trained when the first evaluation needs it."""
        config = self.config
        return train_judge(self.images, config.judge_epochs, config.seed, config.device)

    @property
    def is_conditional(self) -> bool:
        """Whether a class can be asked for."""
        return True

    @property
    def classes(self) -> int:
        return len(self.images.data.class_names)

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.images.data.class_names if self.is_conditional else (UNCONDITIONAL_PROMPT,)

    def picture_block(self, **more: Any) -> ImagePostprocessing:
        return ImagePostprocessing(
            channel_order="L" if self.images.channels == 1 else "RGB",
            upscale=max(1, min(64, _SHOWN_SIDE // self.images.side)),
            **more,
        )

    def _recognised(self, labels: Array, seen: Array) -> Evaluation:
        right, count = int((labels == seen).sum()), len(labels)
        return self._figure(
            "recognised",
            metrics.accuracy(labels, seen),
            count,
            interval=metrics.wilson_interval(right, count),
            baselines={"chance": 1 / self.classes},
        )

    def _frechet(self, features: Array) -> Evaluation:
        """Against one half of the real pictures; the other half, and noise, are the baselines."""
        half, other = self._real_halves()
        size = min(len(half), len(features))
        half_features, other_features = (self.judge.look(part[:size])[1] for part in (half, other))
        # Every pixel by itself as in some real picture: all levels are right, and nothing else is.
        mixed = np.random.default_rng(self.config.seed).permuted(half[:size], axis=0)
        drawn = features[np.random.default_rng(1).permutation(len(features))[:size]]
        interval = None  # hundred distances: for the main figure alone
        if not self.is_conditional:
            interval = drawing_metrics.frechet_interval(drawn, half_features, self.config.seed)
        return self._figure(
            "frechet-distance",
            drawing_metrics.frechet_distance(drawn, half_features),
            size,
            higher_is_better=False,
            interval=interval,
            baselines={
                "halves-of-real": drawing_metrics.frechet_distance(other_features, half_features),
                "mixed-pixels": drawing_metrics.frechet_distance(
                    self.judge.look(mixed)[1], half_features
                ),
            },
        )

    def _variety(self, pictures: Array, seen: Array) -> tuple[Evaluation, ...]:
        """Each as a part of what real pictures show, in equal numbers. Classes are those that were seen."""
        real = self.images.test.pixels / np.float32(255)
        train = self.images.train.pixels / np.float32(255)
        size = min(len(real), len(pictures))
        some = pictures[np.random.default_rng(2).permutation(len(pictures))[:size]]
        spread = drawing_metrics.spread_within_classes(pictures, seen)
        real_spread = drawing_metrics.spread_within_classes(real, self.images.test.labels)
        apart = drawing_metrics.nearest_within(some)
        new = drawing_metrics.nearest_among(some, train)
        parts = {
            "diversity-of-real": spread / max(real_spread, 1e-6),
            "nearest-drawn": apart / max(drawing_metrics.nearest_within(real[:size]), 1e-6),
            "nearest-training": new / max(drawing_metrics.nearest_among(real[:size], train), 1e-6),
            "classes-drawn": drawing_metrics.effective_classes(seen, self.classes),
        }
        return tuple(self._figure(name, value, len(pictures)) for name, value in parts.items())

    def _real_halves(self) -> tuple[Array, Array]:
        """All real pictures in two parts, by chance; float32 in 0–1."""
        splits = (self.images.train, self.images.validation, self.images.test)
        pixels = np.concatenate([split.pixels for split in splits]) / np.float32(255)
        order = np.random.default_rng(0).permutation(len(pixels))
        middle = len(pixels) // 2
        return pixels[order[:middle]], pixels[order[middle : 2 * middle]]

    def _figure(self, metric: str, value: float, samples: int, **more: Any) -> Evaluation:
        return Evaluation(
            dataset=self.images.data.name,
            split="generated",
            metric=metric,
            value=value,
            samples=samples,
            **more,
        )
