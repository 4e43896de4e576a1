"""Semantic segmentation: a class for every pixel, learned from pairs of pictures and masks, or from scenes.

A kind of work for `training.pipeline`. Figures are of the canvas's pixels, its borders left out.
Letters: N pictures, S side of the canvas in pixels, K classes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.blocks import ImagePreprocessing, SegmentationPostprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from training import metrics, overlays, plots
from training.data import scenes
from training.data.dense_augment import change_colours, draw_move, move_masks, move_pixels
from training.data.images import normalise
from training.data.loaders import array_loader
from training.data.masked_pictures import (
    IGNORED,
    MaskedPicture,
    MaskedPictures,
    MaskSplit,
    collect_masks,
    read_masked_pictures,
)
from training.networks.segformer import Segformer
from training.networks.unet import Unet
from training.segmentation_loss import segmentation_loss
from training.segmentation_metrics import class_iou, mean_iou, pixel_accuracy, shared_pixels
from training.tasks.dense_module import DenseModule
from training.tasks.dense_settings import SegmentationConfig
from training.tasks.dense_work import EVALUATION_BATCH, DenseWork
from training.work import Array, Arrays, ExportPlan, Predict

_SAMPLES = 10
_RESAMPLES = 1000
_CALIBRATION_BATCH = 8  # every layer's values are kept while ranges are learned
_NETWORKS = {"unet": Unet, "segformer": Segformer}


class SegmentationModule(DenseModule):
    """Batches are (uint8 [N, 3, S, S], masks uint8 [N, S, S])."""

    config: SegmentationConfig

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        pixels, masks = batch
        move = draw_move(len(pixels), self.config.augment, pixels.device)
        image = move_pixels(change_colours(self.scaled(pixels), self.config.augment), move)
        loss = self._loss(image, move_masks(masks, move))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        pixels, masks = batch
        loss = self._loss(self.scaled(pixels), masks.long())
        self.log("val_loss", loss, batch_size=len(pixels))

    def _loss(self, image: Tensor, masks: Tensor) -> Tensor:
        logits = self.network(self.normalised(image))
        return segmentation_loss(logits, masks, self.config.dice_weight)


class SemanticSegmentationWork(DenseWork[SegmentationConfig, MaskedPicture, MaskSplit]):
    """One run. `prepare` must come first."""

    def read(self, path: Path) -> MaskedPictures:
        return read_masked_pictures(path)

    def collect(self, pictures: Sequence[MaskedPicture], block: ImagePreprocessing) -> MaskSplit:
        return collect_masks(pictures, block)

    def of_scenes(self, drawn: Sequence[scenes.Scene]) -> MaskSplit:
        return MaskSplit(
            np.stack([scene.pixels for scene in drawn]), np.stack([scene.mask for scene in drawn])
        )

    def scene_classes(self) -> tuple[str, ...]:
        return (scenes.BACKGROUND, *scenes.class_names(self.config.scenes.things))

    def lightning_module(self) -> SegmentationModule:
        return SegmentationModule(self._network(), self.config, self.prepared.block)

    def _network(self) -> nn.Module:
        config = self.config
        build = _NETWORKS[config.network]
        return build(len(self.prepared.class_names), config.width, config.depth, config.dropout)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader(self.prepared.train, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader(self.prepared.validation, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, SegmentationModule)
        side, classes = self.prepared.side, len(self.prepared.class_names)
        image, logits = (
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=("batch", channels, side, side))
            for name, channels in (("image", 3), ("logits", classes))
        )
        return ExportPlan(module.network, (image,), (logits,))

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Mean IoU (main; bootstrap over pictures), then the share of pixels that are right."""
        classes = len(self.prepared.class_names)
        test = self.prepared.test.masks
        given = self._masks(predict)
        shared = np.stack([shared_pixels(*pair, classes) for pair in zip(test, given, strict=True)])
        plain_mask = np.full_like(test[0], self._commonest())
        plain = np.stack([shared_pixels(truth, plain_mask, classes) for truth in test])
        interval = metrics.bootstrap_interval(shared, mean_iou, self.config.seed, _RESAMPLES)
        return (
            self._figure(
                "mIoU",
                mean_iou(shared),
                interval=interval,
                baselines={"majority": mean_iou(plain)},
            ),
            self._figure(
                "pixel-accuracy",
                pixel_accuracy(shared),
                baselines={"majority": pixel_accuracy(plain)},
            ),
        )

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, data = self.export_plan(module), self.prepared
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Tells the {len(data.class_names)} classes of {data.name} pixel by pixel.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=data.block,
            postprocessing=SegmentationPostprocessing(),
            batching=self.config.batching,
        )

    def write_assets(self, folder: Path) -> None:
        names = self.prepared.class_names
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names))

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: true and found masks side by side; classes.png: IoU of each class."""
        names, test = self.prepared.class_names, self.prepared.test
        given = self._masks(predict)
        shared = np.stack(
            [shared_pixels(*pair, len(names)) for pair in zip(test.masks, given, strict=True)]
        )
        plots.class_bars(folder / "classes.png", names, class_iou(shared), "IoU")
        pictures, captions = [], []
        for row in range(min(_SAMPLES, len(test))):
            for mask, caption in ((test.masks[row], "true"), (given[row], "found")):
                pictures.append(overlays.with_mask(test.pixels[row], mask, len(names)))
                captions.append(caption)
        plots.image_sheet(folder / "samples.png", pictures, captions)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-static",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        rows = self.prepared.validation.pixels[:EVALUATION_BATCH]
        for start in range(0, len(rows), _CALIBRATION_BATCH):
            part = rows[start : start + _CALIBRATION_BATCH]
            yield {"image": normalise(part, self.prepared.block)}

    def _loader(self, split: MaskSplit, *, shuffle: bool) -> DataLoader[Any]:
        return array_loader(
            split.pixels, split.masks, batch_size=self.config.batch_size, shuffle=shuffle
        )

    def _masks(self, predict: Predict) -> Array:
        """The class of every pixel of the test canvases, uint8 [N, S, S]."""
        return np.concatenate(
            [
                answers["logits"].argmax(axis=1).astype(np.uint8)
                for _, answers in self.ask(self.prepared.test.pixels, predict)
            ]
        )

    def _commonest(self) -> int:
        masks = self.prepared.train.masks
        return int(np.bincount(masks[masks != IGNORED], minlength=1).argmax())

    def _figure(self, metric: str, value: float, **more: Any) -> Evaluation:
        return Evaluation(
            dataset=self.prepared.name,
            split="test",
            metric=metric,
            value=value,
            samples=len(self.prepared.test),
            **more,
        )
