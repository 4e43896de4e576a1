"""A training run as a subject: its data are at hand, so that figures come from its own test split."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from models.golden import Golden
from models.manifest import Evaluation, TensorSpec, Tolerance
from training.optimizing.budget import Budget
from training.optimizing.subject import Subject
from training.predict import onnx_predict
from training.work import Array, Arrays, Predict, Work

_EMBEDDINGS = frozenset({"sentence-embedding", "image-embedding"})


class WorkSubject(Subject):
    """A prepared and calibrated work, whose graph lies in `folder`."""

    def __init__(
        self,
        work: Work[Any],
        folder: Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        tolerance: Tolerance | None = None,
    ) -> None:
        self._work = work
        self.folder, self.inputs, self.outputs = folder, inputs, outputs
        self.tolerance = tolerance or Tolerance()
        self.is_embedding = work.config.task in _EMBEDDINGS
        self.has_own_exams = work.serves_variants
        self.scores_items = type(work).item_scores is not Work.item_scores
        self.timed_batches = work.timed_batches

    def precisions(self) -> tuple[str, ...]:
        return self._work.quantization_candidates()

    @property
    def takes_settings(self) -> bool:
        return self._work.takes_runtime_settings

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        return self._work.evaluate(predict)

    def item_scores(self, predict: Predict) -> Array | None:
        return self._work.item_scores(predict)

    def sample(self, batch: int) -> Arrays:
        return self._work.sample_inputs(batch, None)

    def golden_inputs(self) -> Arrays:
        ask = self.own_predict(self.graph) or onnx_predict(self.graph)
        return self._work.golden(ask)[0]

    def calibration(self) -> Iterable[Arrays]:
        return self._work.calibration_inputs()

    def objection(
        self,
        precision: str,
        reference: tuple[Evaluation, ...],
        given: tuple[Evaluation, ...],
        budget: Budget,
    ) -> str:
        return self._work.variant_objection(precision, reference, given, budget)

    def own_predict(self, graph: Path) -> Predict | None:
        return self._work.onnx_predict(graph)

    def timed_run(self, graph: Path, batch: int) -> Callable[[], object] | None:
        return self._work.timed_run(graph, batch)

    def write_exam(self, graph: Path) -> None:
        if not self.has_own_exams:
            return
        ask = self.own_predict(graph) or onnx_predict(graph)
        Golden(*self._work.golden(ask)).save(graph.with_suffix(".npz"))
