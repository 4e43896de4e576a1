"""Object detection: what is where in a picture; learned from boxes in COCO's or YOLO's format, or scenes.

A kind of work for `training.pipeline`. Figures are of the canvas's pixels: overlaps are the same there.
Letters: N pictures, S side of the canvas in pixels, A cells, K classes, M most objects of a picture.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from models.blocks import DetectionPostprocessing, ImagePreprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from models.transforms.detection import Limits, Objects, find_objects
from models.transforms.geometry import untouched
from training import overlays, plots
from training.data import scenes
from training.data.box_source import read_boxed_pictures, split_of_scenes
from training.data.boxed_pictures import (
    NO_OBJECT,
    BoxedPicture,
    BoxedPictures,
    BoxSplit,
    collect_boxes,
)
from training.data.dense_augment import change_colours, draw_move, move_boxes, move_pixels
from training.data.images import normalise
from training.data.loaders import array_loader
from training.detection_loss import Truth as LossTruth
from training.detection_loss import detection_loss
from training.detection_metrics import (
    THRESHOLDS,
    Matches,
    Truth,
    average_precision,
    match,
    mean_average_precision,
    picture_interval,
)
from training.networks.fcos import Fcos
from training.tasks.dense_module import DenseModule
from training.tasks.dense_settings import DetectionConfig
from training.tasks.dense_work import EVALUATION_BATCH, DenseWork
from training.work import Arrays, ExportPlan, Predict

_JUDGED = Limits(score_threshold=0.02, iou_threshold=0.5, most=100)  # as COCO judges: 100 a picture
_SAMPLES = 20
_RESAMPLES = 500
_CALIBRATION_BATCH = 8  # every layer's values are kept while ranges are learned


class DetectionModule(DenseModule):
    """Batches are (uint8 [N, 3, S, S], boxes [N, M, 4], labels [N, M], crowds [N, M])."""

    network: Fcos
    config: DetectionConfig

    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        pixels, boxes, labels, crowds = batch
        move = draw_move(len(pixels), self.config.augment, pixels.device)
        image = move_pixels(change_colours(self.scaled(pixels), self.config.augment), move)
        boxes, labels = move_boxes(boxes, labels, move, pixels.shape[-1])
        loss = self._loss(image, LossTruth(boxes, labels, crowds))
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        pixels, *truth = batch
        loss = self._loss(self.scaled(pixels), LossTruth(*truth))
        self.log("val_loss", loss, batch_size=len(pixels))

    def _loss(self, image: Tensor, truth: LossTruth) -> Tensor:
        return detection_loss(self.network, self.network.cells(self.normalised(image)), truth)


class ObjectDetectionWork(DenseWork[DetectionConfig, BoxedPicture, BoxSplit]):
    """One run. `prepare` must come first."""

    def read(self, path: Path) -> BoxedPictures:
        return read_boxed_pictures(path)

    def collect(self, pictures: Sequence[BoxedPicture], block: ImagePreprocessing) -> BoxSplit:
        return collect_boxes(pictures, block)

    def of_scenes(self, drawn: Sequence[scenes.Scene]) -> BoxSplit:
        return split_of_scenes(drawn)

    def scene_classes(self) -> tuple[str, ...]:
        return scenes.class_names(self.config.scenes.things)

    def count_marks(self, part: BoxSplit) -> str:
        return f", {part.objects:,} objects"

    def lightning_module(self) -> DetectionModule:
        config, data = self.config, self.prepared
        network = Fcos(
            data.side, len(data.class_names), config.width, config.features, config.levels
        )
        return DetectionModule(network, config, data.block)

    def train_loader(self) -> DataLoader[Any]:
        return self._loader(self.prepared.train, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return self._loader(self.prepared.validation, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, DetectionModule)
        data, cells = self.prepared, len(module.network.centres)
        specs = [
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=("batch", *shape))
            for name, shape in (
                ("image", (3, data.side, data.side)),
                ("boxes", (cells, 4)),
                ("scores", (cells, len(data.class_names))),
            )
        ]
        return ExportPlan(module.network, (specs[0],), (specs[1], specs[2]))

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """mAP@50 (main; bootstrap over pictures), then the mean over the thresholds 0.5 to 0.95."""
        truth = self._truth()
        matches = match(self._found(predict), truth, len(self.prepared.class_names))
        plain = match(self._median_boxes(len(truth)), truth, len(self.prepared.class_names))
        every = range(len(THRESHOLDS))
        return (
            self._figure(
                "mAP@50",
                mean_average_precision(matches, [0]),
                interval=picture_interval(matches, 0, self.config.seed, _RESAMPLES),
                baselines={"median-box": mean_average_precision(plain, [0])},
            ),
            self._figure(
                "mAP@50:95",
                mean_average_precision(matches, every),
                baselines={"median-box": mean_average_precision(plain, every)},
            ),
        )

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, data, config = self.export_plan(module), self.prepared, self.config
        return ManifestDraft(
            name=config.name,
            task=config.task,
            description=f"Finds objects of the {len(data.class_names)} classes of {data.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=data.block,
            postprocessing=DetectionPostprocessing(
                nms="postprocess",
                iou_threshold=config.iou_threshold,
                score_threshold=config.score_threshold,
                max_detections=config.max_detections,
            ),
            batching=config.batching,
        )

    def write_assets(self, folder: Path) -> None:
        names = self.prepared.class_names
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names))

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: found boxes in green over true ones in white; classes.png: AP@50 of each class."""
        found, truth, names = self._found(predict), self._truth(), self.prepared.class_names
        matches: Matches = match(found, truth, len(names), (0.5,))
        plots.class_bars(folder / "classes.png", names, average_precision(matches, 0), "AP@50")
        pictures, captions = [], []
        for row in range(min(_SAMPLES, len(truth))):
            shown = found[row].take(
                np.flatnonzero(found[row].scores >= self.config.score_threshold)
            )
            picture = overlays.enlarged(self.prepared.test.pixels[row])
            own = truth[row].boxes[~truth[row].crowds]
            picture = overlays.with_boxes(picture, overlays.on_enlarged(own), overlays.TRUE)
            found_boxes = overlays.on_enlarged(shown.boxes)
            pictures.append(overlays.with_boxes(picture, found_boxes, overlays.FOUND))
            captions.append(", ".join(names[label] for label in shown.labels) or "nothing")
        plots.image_sheet(folder / "samples.png", pictures, captions)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-static",)

    def calibration_inputs(self) -> Iterable[Arrays]:
        rows = self.prepared.validation.pixels[:EVALUATION_BATCH]
        for start in range(0, len(rows), _CALIBRATION_BATCH):
            part = rows[start : start + _CALIBRATION_BATCH]
            yield {"image": normalise(part, self.prepared.block)}

    def _loader(self, split: BoxSplit, *, shuffle: bool) -> DataLoader[Any]:
        arrays = (split.pixels, split.boxes, split.labels, split.crowds)
        return array_loader(*arrays, batch_size=self.config.batch_size, shuffle=shuffle)

    def _found(self, predict: Predict) -> list[Objects]:
        """What is found in each test picture, in pixels of the canvas."""
        side, block = self.prepared.side, DetectionPostprocessing()
        placed = untouched((side, side))
        return [
            find_objects(boxes, scores, block, _JUDGED, placed)
            for _, answers in self.ask(self.prepared.test.pixels, predict)
            for boxes, scores in zip(answers["boxes"], answers["scores"], strict=True)
        ]

    def _truth(self) -> list[Truth]:
        test = self.prepared.test
        rows = zip(test.boxes, test.labels, test.crowds, strict=True)
        return [
            Truth(*(part[labels != NO_OBJECT] for part in (boxes, labels, crowds)))
            for boxes, labels, crowds in rows
        ]

    def _median_boxes(self, pictures: int) -> list[Objects]:
        """The same for every picture: each class's median training box, scored by the class's share."""
        train = self.prepared.train
        is_object = (train.labels != NO_OBJECT) & ~train.crowds
        labels, boxes = train.labels[is_object], train.boxes[is_object]
        counts = np.bincount(labels, minlength=len(self.prepared.class_names))
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] > 0]
        middles = np.stack([np.median(boxes[labels == label], axis=0) for label in order])
        return [Objects(middles, counts[order] / counts.sum(), order)] * pictures

    def _figure(self, metric: str, value: float, **more: Any) -> Evaluation:
        return Evaluation(
            dataset=self.prepared.name,
            split="test",
            metric=metric,
            value=value,
            samples=len(self.prepared.test),
            **more,
        )
