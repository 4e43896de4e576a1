"""Image classification: …ForImageClassification of transformers (ViT, ResNet, ConvNeXt, Swin, …)."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from PIL import Image
from torch import nn
from typing_extensions import override

from models.blocks import ClassificationPostprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from training.importing.checkpoint import label_names
from training.importing.classes import (
    ends_in_sigmoid,
    in_words,
    probabilities,
    require_no_regression,
    score_gap,
)
from training.importing.kind import Difference, write_labels
from training.importing.kinds.picture import PictureHead, PictureKind
from training.importing.library import make_pipeline, quiet_library
from training.importing.samples import pictures
from training.work import Predict


class ImageClassificationKind(PictureKind):
    task: ClassVar[str] = "image-classification"
    measure: ClassVar[str] = "largest difference of a label's score"
    auto_class: ClassVar[str] = "AutoModelForImageClassification"

    @override
    def read(self) -> None:
        self.labels = label_names(self.checkpoint.config)
        require_no_regression(self.checkpoint.config)
        super().read()

    @override
    def head(self) -> nn.Module:
        return PictureHead(self.network, activation=nn.Sigmoid() if self._is_probability else None)

    @property
    def _is_probability(self) -> bool:
        return ends_in_sigmoid(self.checkpoint.config, len(self.labels))

    @property
    @override
    def postprocessing(self) -> ClassificationPostprocessing:
        return ClassificationPostprocessing(
            top_k=min(5, len(self.labels)), is_probability=self._is_probability
        )

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        shape = ("batch", len(self.labels))
        return (TensorSpec(name="logits", dtype=DataType.FLOAT, shape=shape),)

    @override
    def summary(self) -> dict[str, str]:
        return super().summary() | {"labels": in_words(self.labels)}

    @override
    def write_assets(self, folder: Path) -> None:
        write_labels(folder, self.labels)

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        ask = make_pipeline(
            "image-classification", model=self.network, image_processor=self.processor
        )
        for name, data in pictures():
            with quiet_library():
                found = ask(Image.open(io.BytesIO(data)), top_k=len(self.labels))
            given = probabilities(predict(self.pixels_of(data))["logits"][0], self.postprocessing)
            yield Difference(name, score_gap(found, given, self.labels))
