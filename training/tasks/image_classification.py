"""Image classification: pictures of a known set of classes, digits or anybody's image folder.

A kind of work for `training.pipeline`. Letters: N items, C channels, S side in pixels, K classes.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import torch
from torch import nn

from models.blocks import ClassificationPostprocessing
from models.datatypes import DataType
from models.errors import UsageError
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from training import losses, metrics, plots
from training.data.image_source import fold_of
from training.data.images import ImageData, Pixels, normalise
from training.data.shapes import read_shapes
from training.networks.mirrored import Mirrored
from training.pretrained_image import ImageCheckpoint
from training.pruning.shrink import shrunk
from training.tasks import classification
from training.tasks.image_module import ImageClassifierModule
from training.tasks.image_network import build_network, find_checkpoint, network_summary
from training.tasks.image_settings import ImageClassificationConfig
from training.tasks.image_teacher import Teacher, published_teacher, trained_teacher
from training.tasks.image_work import ImageWork
from training.work import Array, Arrays, CardTable, ExportPlan, Predict

_EVALUATION_BATCH = 256
_SAMPLES = 24  # on the sample sheet


class ImageClassificationWork(ImageWork[ImageClassificationConfig]):
    """One run. `prepare` must come first."""

    temperature: float = 1.0
    _checkpoint: ImageCheckpoint | None = None
    _teacher: Teacher | None = None
    _teacher_accuracy: float | None = None

    def prepare(self) -> None:
        """Also reads the checkpoint of `pretrained.source`, which knows its pictures' side and colours."""
        self._checkpoint = find_checkpoint(self.config, has_data=self.data is not None)
        if self._checkpoint is not None:
            image = self._checkpoint.image_settings(self.config.image)
            self.config = self.config.model_copy(update={"image": image})
        super().prepare()
        self._take_the_checkpoints_colours()
        if self.config.mirror_average and self.images.channels == 1:
            raise UsageError("mirror_average: grey pictures are not mirrored while learning")

    def _take_the_checkpoints_colours(self) -> None:
        if self._checkpoint is not None:
            stated = {"mean": self._checkpoint.mean, "std": self._checkpoint.std}
            block = self.images.block.model_copy(update=stated)
            self.images = replace(self.images, block=block)

    def own_pictures(self) -> ImageData:
        shapes = self.config.shapes
        if self.config.own_data == "shapes":
            return read_shapes(shapes.train, shapes.test, shapes.side)
        return super().own_pictures()

    def data_summary(self) -> dict[str, str]:
        network = network_summary(self.config, self._checkpoint)
        summary = {**super().data_summary(), "network": network}
        group = self.config.teacher
        if group.weight:
            first = f"{group.network}, which learns first, {group.epochs} epochs"
            summary["teacher"] = group.source or first
        return summary

    def lightning_module(self) -> ImageClassifierModule:
        config, images, classes = self.config, self.images, len(self.class_names)
        weights = losses.class_weights(images.train.labels, classes, config.class_weights)
        teacher = self._find_teacher() if config.teacher.weight else None
        return ImageClassifierModule(
            self._network(), config, images.block, classes, weights, teacher
        )

    def _find_teacher(self) -> Teacher:
        source = self.config.teacher.source
        if source is not None:
            self._teacher = published_teacher(source, self.class_names)
        elif self._teacher is None:
            self._teacher = trained_teacher(type(self), self.config, self.images)
        return self._teacher

    def _network(self) -> nn.Module:
        return build_network(
            self.config,
            self._checkpoint,
            channels=self.images.channels,
            side=self.images.side,
            outputs=len(self.class_names),
        )

    def fold(self, number: int, count: int) -> "ImageClassificationWork":
        config = self.config
        fold = type(self)(config, self.data)
        fold.images = fold_of(
            self.images,
            number,
            count,
            validation_fraction=config.validation_fraction,
            seed=config.seed,
        )
        # Anew: this work's was trained already.
        fold._checkpoint = find_checkpoint(config, has_data=self.data is not None)
        fold._take_the_checkpoints_colours()
        return fold

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, ImageClassifierModule)
        image = TensorSpec(
            name="image",
            dtype=DataType.FLOAT,
            shape=("batch", self.images.channels, self.images.side, self.images.side),
        )
        logits = TensorSpec(
            name="logits", dtype=DataType.FLOAT, shape=("batch", len(self.class_names))
        )
        pruning = self.config.pruning
        is_smaller = pruning.amount and pruning.kind == "structured"
        network = shrunk(module.network) if is_smaller else module.network
        if self.config.mirror_average:
            network = Mirrored(network)
        return ExportPlan(network, (image,), (logits,))

    def calibrate(self, predict: Predict) -> None:
        split = self.images.validation
        self.temperature = metrics.fit_temperature(
            self._logits(split.pixels, predict), split.labels
        )

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Accuracy first; for grey pictures also the accuracy with black and white swapped."""
        test = self.images.test
        logits = self._logits(test.pixels, predict)
        figures = classification.evaluations(logits, self._held_out(), self.temperature)
        figures = self._beside_the_teacher(figures)
        if not self._is_polarity_free:
            return figures
        inverted = self._logits(255 - test.pixels, predict).argmax(axis=1)
        right = int((inverted == test.labels).sum())
        swapped = classification.figure(
            self._held_out(),
            "accuracy-inverted",
            metrics.accuracy(test.labels, inverted),
            interval=metrics.wilson_interval(right, len(test)),
        )
        return (*figures, swapped)

    def _beside_the_teacher(self, figures: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
        """Its accuracy on the same pictures; nothing where there is none, or where it is not at hand."""
        if self._teacher is None:
            return figures
        if self._teacher_accuracy is None:
            test = self.images.test
            parts = [
                self._teacher(torch.from_numpy(rows).float() / 255).argmax(dim=1).numpy()
                for rows in np.array_split(test.pixels, max(1, len(test) // _EVALUATION_BATCH))
            ]
            self._teacher_accuracy = metrics.accuracy(test.labels, np.concatenate(parts))
        main, *others = figures
        baselines = {**main.baselines, "teacher": self._teacher_accuracy}
        return (main.model_copy(update={"baselines": baselines}), *others)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Test pictures, float32 [batch, C, S, S]; repeated where there are too few."""
        order = np.random.default_rng(0).permutation(len(self.images.test))
        pixels = self.images.test.pixels[np.resize(order, batch)]
        return {"image": normalise(pixels, self.images.block)}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        data = self.images.data
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Recognises the {len(self.class_names)} classes of {data.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self.images.block,
            postprocessing=ClassificationPostprocessing(
                top_k=min(self.config.top_k, len(self.class_names))
            ),
            batching=self.config.batching,
            temperature=self.temperature,
            reference={
                "image": _statistics(normalise(self.images.train.pixels, self.images.block))
            },
        )

    def write_assets(self, folder: Path) -> None:
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in self.class_names))

    def plots(self, folder: Path, predict: Predict) -> None:
        pixels, held_out = self.images.test.pixels, self._held_out()
        logits = self._logits(pixels, predict)
        classification.draw(folder, logits, held_out, self.temperature)
        samples = classification.sample_rows(logits, held_out, _SAMPLES)
        pictures = [pixels[row] / np.float32(255) for row, _ in samples]
        plots.image_sheet(folder / "samples.png", pictures, [caption for _, caption in samples])

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:
        logits = self._logits(self.images.test.pixels, predict)
        return classification.tables(logits, self._held_out(), self.temperature)

    def item_scores(self, predict: Predict) -> Array:
        test = self.images.test
        return np.asarray(self._logits(test.pixels, predict).argmax(axis=1) == test.labels)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-static",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        pixels = self.images.validation.pixels[: 2 * _EVALUATION_BATCH]
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            rows = pixels[start : start + _EVALUATION_BATCH]
            yield {"image": normalise(rows, self.images.block)}

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.images.data.class_names

    @property
    def _is_polarity_free(self) -> bool:
        """True when black on white and white on black are learned alike."""
        return self.images.channels == 1 and self.config.augment.invert_probability > 0

    def _held_out(self) -> classification.HeldOut:
        return classification.HeldOut(
            dataset=self.images.data.name,
            split="test",
            labels=self.images.test.labels,
            training_labels=self.images.train.labels,
            class_names=self.class_names,
        )

    def _logits(self, pixels: Pixels, predict: Predict) -> Array:
        """Float32 [N, K] of uint8 pixels [N, C, S, S], in batches that fit anywhere."""
        parts = []
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            rows = normalise(pixels[start : start + _EVALUATION_BATCH], self.images.block)
            parts.append(predict({"image": rows})["logits"])
        return np.concatenate(parts)


def _statistics(rows: Array) -> dict[str, float]:
    """What drift is measured against, of the values the graph receives."""
    low, high = np.percentile(rows, [1, 99])
    figures = {"mean": rows.mean(), "std": rows.std(), "p01": low, "p99": high}
    return {name: round(float(value), 6) for name, value in figures.items()}
