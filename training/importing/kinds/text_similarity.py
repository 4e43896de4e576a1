"""Text similarity: a cross-encoder, which is a sequence classifier with one output for a pair of texts."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from models.blocks import ScorePostprocessing
from models.datatypes import DataType
from models.manifest import TensorSpec
from models.transforms.scores import pair_score
from training.errors import DataError
from training.importing.checkpoint import label_names
from training.importing.kind import Difference
from training.importing.kinds.text import TextKind, as_batch
from training.importing.library import OFFLINE, blaming, quiet_library
from training.importing.samples import PAIRS
from training.work import Predict


class TextSimilarityKind(TextKind):
    task: ClassVar[str] = "text-similarity"
    library: ClassVar[str] = "sentence_transformers' CrossEncoder"
    measure: ClassVar[str] = "difference of the score"
    auto_class: ClassVar[str] = "AutoModelForSequenceClassification"
    is_pair: ClassVar[bool] = True

    model: Any

    @override
    def read(self) -> None:
        from sentence_transformers import CrossEncoder

        outputs = len(label_names(self.checkpoint.config))
        if outputs != 1:
            raise DataError(
                f"{self.checkpoint.source}: the network answers {outputs} numbers for a pair, and a "
                "score is one; is it for --task text-classification?"
            )
        folder = self.checkpoint.folder
        super().read()
        with blaming(folder, "sentence-transformers cannot read the checkpoint"):
            self.model = CrossEncoder(
                str(folder),
                device="cpu",
                max_length=self.preprocessing.max_tokens,
                model_kwargs={"use_safetensors": True},
                **OFFLINE,
            )
        self.activation = _activation(self.model)

    @property
    @override
    def postprocessing(self) -> ScorePostprocessing:
        return ScorePostprocessing(activation=self.activation)

    @override
    def output_specs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(name="logits", dtype=DataType.FLOAT, shape=("batch", 1)),)

    @override
    def summary(self) -> dict[str, str]:
        return super().summary() | {"score": f"activation {self.activation}"}

    @override
    def differences(self, predict: Predict) -> Iterator[Difference]:
        for pair in PAIRS:
            with quiet_library():
                expected = float(self.model.predict([pair], show_progress_bar=False)[0])
            [encoded] = self.encoder.encode_pair(*pair, truncate=True)
            logit = float(predict(as_batch(encoded.row))["logits"][0, 0])
            gap = abs(pair_score(logit, self.postprocessing) - expected)
            yield Difference(" — ".join(pair), float(np.nan_to_num(gap, nan=np.inf)))


def _activation(model: Any) -> Any:
    name = type(model.activation_fn).__name__
    known = {"Sigmoid": "sigmoid", "Identity": "none"}
    if name not in known:
        raise DataError(f"scores pass through {name}; those that can be served: {', '.join(known)}")
    return known[name]
