"""Semantic segmentation: a picture → a class for every pixel, as PNG or as run lengths, with each one's area.

The mask has the size of the upright picture (after its EXIF orientation) unless the caller wants it
smaller. Where the caller sends the graph's input itself as numbers, it has the size of that.
"""

import base64
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import SegmentationPostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, InputError, ManifestInvalid
from models.transforms.geometry import require_reversible
from models.transforms.segmentation import (
    MOST_CLASSES,
    class_mask,
    run_lengths,
    shown_size,
    to_palette_png,
)
from service.tasks.base import Answer, Prepared, Row, TaskOptions
from service.tasks.placed_picture import PlacedPictureTask

_MOST_RUNS = 500_000  # of all classes together: about 3 MB of JSON


class SegmentationOptions(TaskOptions):
    format: Literal["png", "rle"] = Field(
        default="png",
        description="the mask as a PNG whose pixel values are class numbers (with a palette for people), "
        "or as run lengths of each class as in COCO: column by column, the first count of other pixels",
    )
    max_size: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="longest side of the mask in pixels; default: the picture's own size",
    )


class ClassArea(BaseModel):
    label: str
    index: int = Field(description="class number, the value of its pixels in the PNG")
    pixels: int
    share: float = Field(description="part of the mask, 0–1")
    counts: list[int] | None = Field(default=None, description="run lengths, with format rle")


class SegmentationAnswer(BaseModel):
    width: int = Field(description="of the mask, pixels")
    height: int
    mask: str | None = Field(
        default=None, description="PNG in base64", json_schema_extra={"format": "byte"}
    )
    classes: list[ClassArea] = Field(description="those that occur, largest first")


class SemanticSegmentation(PlacedPictureTask[SegmentationOptions]):
    name: ClassVar[str] = "semantic-segmentation"
    is_heavy_to_answer: ClassVar[bool] = True
    options: ClassVar[type[TaskOptions]] = SegmentationOptions
    answer: ClassVar[type[BaseModel]] = SegmentationAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.postprocessing
        if not isinstance(block, SegmentationPostprocessing):
            raise ManifestInvalid(
                f"{self.name} needs segmentation postprocessing, not {block.kind}"
            )
        require_reversible(self.block, self.name)
        self._output = block.output
        self.labels = bundle.labels(block.labels)
        self._check_output()

    def _check_output(self) -> None:
        spec = next((s for s in self.manifest.outputs if s.name == self._output), None)
        if spec is None:
            raise ManifestInvalid(f"{self.name}: there is no output {self._output!r}")
        if len(spec.shape) != 4 or spec.shape[1] != len(self.labels):
            raise ManifestInvalid(
                f"{self.name}: output {self._output!r} has the shape {list(spec.shape)}, expected "
                f"[batch, {len(self.labels)} classes, height, width]"
            )
        if len(self.labels) > MOST_CLASSES:
            raise ManifestInvalid(f"{self.name}: more than {MOST_CLASSES} classes")

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: SegmentationOptions
    ) -> Answer:
        logits = rows[0][self._output]
        if not np.isfinite(logits).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        placed = self.placed(prepared)
        size = shown_size(placed.picture, options.max_size)
        mask = class_mask(logits, placed, size)
        answer: Answer = {"width": size[0], "height": size[1]}
        if options.format == "rle":
            return {**answer, "mask": None, "classes": self._with_counts(mask)}
        png = base64.b64encode(to_palette_png(mask, len(self.labels))).decode()
        return {**answer, "mask": png, "classes": self._areas(mask)}

    def _areas(self, mask: np.ndarray) -> list[dict[str, object]]:
        pixels = np.bincount(mask.ravel(), minlength=len(self.labels))
        order = np.argsort(-pixels, kind="stable")
        return [
            {
                "label": self.labels[index],
                "index": int(index),
                "pixels": int(pixels[index]),
                "share": float(pixels[index] / mask.size),
                "counts": None,
            }
            for index in order
            if pixels[index]
        ]

    def _with_counts(self, mask: np.ndarray) -> list[dict[str, object]]:
        areas, runs = self._areas(mask), 0
        for area in areas:
            counts = run_lengths(mask == area["index"])
            runs += len(counts)
            if runs > _MOST_RUNS:
                raise InputError(
                    f"the mask has more than {_MOST_RUNS:,} runs; ask for format png, or a smaller one "
                    "with max_size"
                )
            area["counts"] = counts.tolist()
        return areas
