"""What image and text classification share: options, answer and the way from logits to labels."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from models.blocks import ClassificationPostprocessing
from models.bundle import Bundle
from models.errors import InferenceFailed, ManifestInvalid
from models.transforms.scores import softmax, top_k
from service.tasks.base import Answer, BatchTask, InstanceT, Prepared, Row, TaskOptions


class ClassificationOptions(TaskOptions):
    top_k: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="labels to return, best first; default: the model's",
    )
    raw_scores: bool = Field(
        default=False, description="the graph's own numbers instead of probabilities"
    )


class LabelledScore(BaseModel):
    label: str
    score: float = Field(description="calibrated probability, unless raw scores are asked for")
    index: int = Field(description="class number")


class ClassificationAnswer(BaseModel):
    label: str = Field(description="the most probable label")
    score: float
    labels: list[LabelledScore] = Field(description="best first")


class ClassificationTask(BatchTask[InstanceT, ClassificationOptions]):
    """Logits float32 [classes] → softmax(logits / temperature) → the `top_k` labels."""

    options: ClassVar[type[TaskOptions]] = ClassificationOptions
    answer: ClassVar[type[BaseModel]] = ClassificationAnswer

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        block = self.manifest.postprocessing
        if not isinstance(block, ClassificationPostprocessing):
            raise ManifestInvalid(
                f"{self.name} needs classification postprocessing, not {block.kind}"
            )
        self._block = block
        self.labels = bundle.labels(block.labels)
        self._require_a_label_for_each_class()

    def _require_a_label_for_each_class(self) -> None:
        spec = next((s for s in self.manifest.outputs if s.name == self._block.output), None)
        if spec is None:
            raise ManifestInvalid(f"{self.name}: there is no output {self._block.output!r}")
        classes = spec.shape[-1] if spec.shape else 1
        if isinstance(classes, int) and classes != len(self.labels):
            raise ManifestInvalid(f"{self.name}: {classes} classes but {len(self.labels)} labels")

    @override
    def postprocess(
        self, rows: Sequence[Row], prepared: Prepared, options: ClassificationOptions
    ) -> Answer:
        logits = np.atleast_1d(rows[0][self._block.output])
        if not np.isfinite(logits).all():
            raise InferenceFailed("the model's answer to this input is not a number")
        if options.raw_scores:
            scores = logits.astype(np.float32)
        elif self._block.is_probability:
            scores = np.clip(logits.astype(np.float32), 0, 1)
        else:
            scores = softmax(logits, self.manifest.temperature)
        best = top_k(scores, self.labels, options.top_k or self._block.top_k)
        return {"label": best[0]["label"], "score": best[0]["score"], "labels": best}
