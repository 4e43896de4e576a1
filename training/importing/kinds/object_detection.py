"""Object detection: DETR and its kin, …ForObjectDetection of transformers, whose queries need no suppression.

Pictures keep their proportions where the checkpoint says so: the graph takes any size then, and only
pictures of one size share a run.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from torch import nn
from typing_extensions import override

from models.blocks import DetectionPostprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.detection import Limits, Objects, find_objects
from models.transforms.geometry import REVERSIBLE_FITS, placement
from models.transforms.image import decode_image
from training.errors import DataError
from training.importing.checkpoint import label_names
from training.importing.classes import in_words
from training.importing.kind import Difference, write_labels
from training.importing.kinds.picture import PictureHead, PictureKind
from training.importing.library import make_pipeline, quiet_library
from training.importing.samples import pictures
from training.work import Predict

# How each architecture's own postprocessing makes probabilities of its logits.
_SCORES = {
    "detr": "softmax_background",
    "yolos": "softmax_background",
    "table-transformer": "softmax_background",
    "conditional_detr": "sigmoid",
    "deformable_detr": "sigmoid",
    "rt_detr": "sigmoid",
    "rt_detr_v2": "sigmoid",
    "d_fine": "sigmoid",
}
_SCORE_TOLERANCE = 1e-3


class ObjectDetectionKind(PictureKind):
    task: ClassVar[str] = "object-detection"
    measure: ClassVar[str] = "largest distance of a box's side, in pixels"
    limit: ClassVar[float] = 0.05
    largest_batch: ClassVar[int] = 4
    auto_class: ClassVar[str] = "AutoModelForObjectDetection"

    @override
    def read(self) -> None:
        self.labels = label_names(self.checkpoint.config)
        family = self.checkpoint.config.get("model_type")
        if family not in _SCORES:
            raise DataError(
                f"{self.checkpoint.source}: how {family} makes scores and boxes of its outputs is not "
                f"known here; known: {', '.join(_SCORES)}"
            )
        self._scores: Any = _SCORES[family]
        super().read()
        if self.block.fit not in REVERSIBLE_FITS:
            raise DataError(
                f"{self.checkpoint.source}: pictures are cropped, so boxes could not be told"
            )
        self._queries, self._classes = (int(axis) for axis in self.shape_of("logits"))

    @override
    def head(self) -> nn.Module:
        return PictureHead(self.network, ("pred_boxes", "logits"))

    @property
    @override
    def postprocessing(self) -> DetectionPostprocessing:
        return DetectionPostprocessing(
            box_format="cxcywh",
            box_unit="relative",
            score_kind=self._scores,
            nms="none",
            score_threshold=0.5,
            max_detections=100,
        )

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        boxes = ("batch", self._queries, 4)
        scores = ("batch", self._queries, self._classes)
        return (
            TensorSpec(name="boxes", dtype=DataType.FLOAT, shape=boxes),
            TensorSpec(name="scores", dtype=DataType.FLOAT, shape=scores),
        )

    @override
    def summary(self) -> dict[str, str]:
        return super().summary() | {
            "objects": f"up to {self._queries}, {self._scores}",
            "labels": in_words(self.labels),
        }

    @override
    def write_assets(self, folder: Path) -> None:
        write_labels(folder, self.labels)

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        ask = make_pipeline("object-detection", model=self.network, image_processor=self.processor)
        everything = Limits(score_threshold=0.0, iou_threshold=1.0, most=10_000)
        for name, data in pictures():
            with quiet_library():
                theirs = ask(Image.open(io.BytesIO(data)), threshold=0.0)
            rows = predict(self.pixels_of(data))
            placed = placement(decode_image(data).size, self.block)
            ours = find_objects(
                rows["boxes"][0], rows["scores"][0], self.postprocessing, everything, placed
            )
            yield Difference(name, *self._gap(theirs, ours, placed.picture))

    def _gap(
        self, theirs: list[dict[str, Any]], ours: Objects, size: tuple[int, int]
    ) -> tuple[float, str]:
        """The distance to the nearest box of the same label and score, of the worst object. The library
        drops the fractions of its pixels; ours are cut off at the picture's edges."""
        worst, edges = 0.0, np.tile(size, 2)
        for entry in theirs:
            corners = np.array([entry["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")])
            corners = np.clip(corners, 0, edges)
            if (corners[2:] <= corners[:2]).any():
                continue
            alike = (np.abs(ours.scores - entry["score"]) <= _SCORE_TOLERANCE) & (
                np.array([self.labels[label] for label in ours.labels]) == entry["label"]
            )
            if not alike.any():
                return np.inf, f"(no {entry['label']} with a score of {entry['score']:.4f})"
            boxes = ours.boxes[alike].astype(np.float64)
            beyond = np.maximum(corners - boxes, boxes - (corners + 1)).clip(min=0)
            worst = max(worst, float(beyond.max(axis=1).min()))
        return worst, ""
