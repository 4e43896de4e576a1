"""Semantic segmentation: SegFormer and other …ForSemanticSegmentation of transformers that answer with
logits for every class and place."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image
from typing_extensions import override

from models.blocks import SegmentationPostprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.geometry import placement
from models.transforms.image import decode_image
from models.transforms.segmentation import class_mask
from training.errors import DataError
from training.importing.checkpoint import label_names
from training.importing.classes import in_words
from training.importing.kind import Difference, write_labels
from training.importing.kinds.picture import PictureKind
from training.importing.library import make_pipeline, quiet_library
from training.importing.samples import pictures
from training.work import Predict


class SemanticSegmentationKind(PictureKind):
    task: ClassVar[str] = "semantic-segmentation"
    measure: ClassVar[str] = "part of the pixels of another class"
    largest_batch: ClassVar[int] = 4
    auto_class: ClassVar[str] = "AutoModelForSemanticSegmentation"

    @override
    def read(self) -> None:
        self.labels = label_names(self.checkpoint.config)
        super().read()
        if self.block.fit != "stretch":
            raise DataError(
                f"{self.checkpoint.source}: its image processor does not stretch pictures to one size "
                f"({self.block.fit}), and masks of such pictures cannot be compared with the library's"
            )
        self._shape = tuple(int(axis) for axis in self.shape_of("logits"))

    @property
    @override
    def postprocessing(self) -> SegmentationPostprocessing:
        return SegmentationPostprocessing()

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        shape = ("batch", *self._shape)
        return (TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape),)

    @override
    def summary(self) -> dict[str, str]:
        rows, columns = self._shape[1:]
        return super().summary() | {
            "masks": f"{rows}×{columns}, enlarged to the picture's size",
            "labels": in_words(self.labels),
        }

    @override
    def write_assets(self, folder: Path) -> None:
        write_labels(folder, self.labels)

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        """Of pictures larger than the logits: for smaller ones the library takes single logits, while
        the service averages them."""
        ask = make_pipeline(
            "image-segmentation", model=self.network, image_processor=self.processor
        )
        least = max(self._shape[1:])
        for name, data in pictures():
            image = decode_image(data)
            if min(image.size) < least:
                factor = least / min(image.size)
                image = image.resize((round(image.width * factor), round(image.height * factor)))
            out = io.BytesIO()
            image.save(out, format="PNG")
            with quiet_library():
                found = ask(Image.open(out), subtask="semantic")
            theirs = np.full((image.height, image.width), -1)
            for entry in found:
                theirs[np.asarray(entry["mask"]) > 0] = self.labels.index(entry["label"])
            placed = placement(image.size, self.block)
            ours = class_mask(
                predict(self.pixels_of(out.getvalue()))["logits"][0], placed, image.size
            )
            yield Difference(
                f"{name} at {image.width}×{image.height}", float((ours != theirs).mean())
            )
