"""Visual anomaly detection: a picture → how unusual it is, whether that is too much, and where it is so.

The heat map has the size of the upright picture (after its EXIF orientation) unless the caller wants it
smaller. Where the caller sends the graph's input itself as numbers, it has the size of that.
"""

import base64
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import AnomalyPostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, ManifestInvalid
from models.transforms.anomaly import heat_map
from models.transforms.geometry import require_reversible
from models.transforms.segmentation import shown_size
from service.tasks.base import Answer, Prepared, Row, TaskOptions
from service.tasks.placed_picture import PlacedPictureTask


class VisualAnomalyOptions(TaskOptions):
    threshold: float | None = Field(
        default=None, description="score above which it is an anomaly; default: the model's"
    )
    heat_map: bool = Field(default=True, description="answer with a picture of where it is unusual")
    max_size: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="longest side of the heat map in pixels; default: the picture's own size",
    )


class VisualAnomalyAnswer(BaseModel):
    score: float = Field(description="of the most unusual place; only its order has a meaning")
    is_anomaly: bool = Field(description="whether the score is above the threshold")
    threshold: float = Field(description="that the score was held against")
    width: int | None = Field(default=None, description="of the heat map, pixels")
    height: int | None = None
    heat_map: str | None = Field(
        default=None,
        description="grey PNG in base64: black is usual, the model's threshold half grey",
        json_schema_extra={"format": "byte"},
    )


class VisualAnomalyDetection(PlacedPictureTask[VisualAnomalyOptions]):
    """Score float32 [], map float32 [h, w]."""

    name: ClassVar[str] = "visual-anomaly-detection"
    is_heavy_to_answer: ClassVar[bool] = True
    options: ClassVar[type[TaskOptions]] = VisualAnomalyOptions
    answer: ClassVar[type[BaseModel]] = VisualAnomalyAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.postprocessing
        if not isinstance(block, AnomalyPostprocessing):
            raise ManifestInvalid(f"{self.name} needs anomaly postprocessing, not {block.kind}")
        require_reversible(self.block, self.name)
        self._marks = block
        ranks = {spec.name: len(spec.shape) for spec in self.manifest.outputs}
        for output, rank in ((block.score_output, 1), (block.map_output, 3)):
            if ranks.get(output) != rank:
                axes = "[batch]" if rank == 1 else "[batch, height, width]"
                raise ManifestInvalid(f"{self.name}: output {output!r} must be there, as {axes}")

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: VisualAnomalyOptions
    ) -> Answer:
        marks, row = self._marks, rows[0]
        score, unusual = float(row[marks.score_output]), row[marks.map_output]
        if not np.isfinite(score) or not np.isfinite(unusual).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        threshold = marks.threshold if options.threshold is None else options.threshold
        answer: Answer = dict.fromkeys(VisualAnomalyAnswer.model_fields)
        answer |= {"score": score, "is_anomaly": score > threshold, "threshold": threshold}
        if options.heat_map:
            placed = self.placed(prepared)
            size = shown_size(placed.picture, options.max_size)
            png = heat_map(unusual, placed, size, marks.map_low, marks.map_high)
            answer |= {"width": size[0], "height": size[1]}
            answer["heat_map"] = base64.b64encode(png).decode()
        return answer
