"""Object detection: a picture → labelled boxes in the picture's own pixels.

Boxes are told in pixels of the upright picture (after its EXIF orientation) and cut off at its edges. Where
the caller sends the graph's input itself as numbers, they are in pixels of that.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import DetectionPostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, ManifestInvalid
from models.transforms.detection import Limits, find_objects
from models.transforms.geometry import require_reversible
from service.tasks.base import Answer, Prepared, Row, TaskOptions
from service.tasks.placed_picture import PlacedPictureTask


class DetectionOptions(TaskOptions):
    score_threshold: float | None = Field(
        default=None, ge=0, le=1, description="least score of an object; default: the model's"
    )
    iou_threshold: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="objects of one class that overlap by more are one; default: the model's. Of no "
        "effect where the graph itself decides (`nms` in the manifest)",
    )
    max_detections: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="objects to return, best first; default: the model's",
    )


class Box(BaseModel):
    xmin: float
    ymin: float
    xmax: float
    ymax: float


class DetectedObject(BaseModel):
    label: str
    score: float
    index: int = Field(description="class number")
    box: Box = Field(description="pixels of the picture; x to the right, y down")


class DetectionAnswer(BaseModel):
    width: int = Field(description="of the picture that the boxes lie in, pixels")
    height: int
    objects: list[DetectedObject] = Field(description="best first; may be empty")


class ObjectDetection(PlacedPictureTask[DetectionOptions]):
    name: ClassVar[str] = "object-detection"
    is_heavy_to_answer: ClassVar[bool] = True
    options: ClassVar[type[TaskOptions]] = DetectionOptions
    answer: ClassVar[type[BaseModel]] = DetectionAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.postprocessing
        if not isinstance(block, DetectionPostprocessing):
            raise ManifestInvalid(f"{self.name} needs detection postprocessing, not {block.kind}")
        require_reversible(self.block, self.name)
        self._answer = block
        self.labels = bundle.labels(block.labels)
        self._check_outputs()

    def _check_outputs(self) -> None:
        outputs = {spec.name: spec for spec in self.manifest.outputs}
        for name in (self._answer.boxes_output, self._answer.scores_output):
            if name not in outputs:
                raise ManifestInvalid(f"{self.name}: there is no output {name!r}")
        classes = outputs[self._answer.scores_output].shape[-1]
        expected = len(self.labels) + (self._answer.score_kind == "softmax_background")
        if isinstance(classes, int) and classes != expected:
            raise ManifestInvalid(
                f"{self.name}: scores of {classes} classes but {len(self.labels)} labels"
            )

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: DetectionOptions
    ) -> Answer:
        boxes, scores = (
            rows[0][name] for name in (self._answer.boxes_output, self._answer.scores_output)
        )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise InferenceFailed("the model's answer to this input is not a number")
        placed = self.placed(prepared)
        found = find_objects(boxes, scores, self._answer, self._limits(options), placed)
        width, height = placed.picture
        objects = [
            self._object(*one) for one in zip(found.boxes, found.scores, found.labels, strict=True)
        ]
        return {"width": width, "height": height, "objects": objects}

    def _object(self, box: np.ndarray, score: float, label: int) -> dict[str, object]:
        corners = dict(zip(Box.model_fields, box.astype(float).round(2).tolist(), strict=True))
        return {
            "label": self.labels[label],
            "score": float(score),
            "index": int(label),
            "box": corners,
        }

    def _limits(self, options: DetectionOptions) -> Limits:
        block = self._answer
        given = (options.score_threshold, options.iou_threshold, options.max_detections)
        own = (block.score_threshold, block.iou_threshold, block.max_detections)
        score, overlap, most = (
            default if value is None else value for value, default in zip(given, own, strict=True)
        )
        return Limits(float(score), float(overlap), int(most))
