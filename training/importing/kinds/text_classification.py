"""Text classification: …ForSequenceClassification of transformers, one label or several."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

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
from training.importing.kinds.text import Head, TextKind
from training.importing.library import make_pipeline, quiet_library
from training.importing.samples import TEXTS
from training.work import Predict


class TextClassificationKind(TextKind):
    task: ClassVar[str] = "text-classification"
    measure: ClassVar[str] = "largest difference of a label's score"
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"

    @override
    def read(self) -> None:
        self.labels = label_names(self.checkpoint.config)
        require_no_regression(self.checkpoint.config)
        super().read()

    @override
    def head(self) -> nn.Module:
        names = [spec.name for spec in self.input_specs()]
        activation = nn.Sigmoid() if self._is_probability else None
        return Head(self.network, names, activation=activation)

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
        super().write_assets(folder)
        write_labels(folder, self.labels)

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        ask = make_pipeline("text-classification", model=self.network, tokenizer=self.tokenizer)
        for text in TEXTS:
            with quiet_library():
                found = ask(text, truncation=True, top_k=None)
            given = probabilities(predict(self.rows_of(text))["logits"][0], self.postprocessing)
            yield Difference(text, score_gap(found, given, self.labels))
