"""A published bundle as a subject, where nobody here has the data that it was trained on.

With rows from `--data` it is judged on them (`given_data`). With none, or with mere rows from
`--calibration`, there are no figures: then only what leaves the weights alone is tried, and its answers must
keep the direction of the reference's.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.bundle import Bundle
from models.golden import Golden
from models.manifest import GOLDEN_FILE, Evaluation
from training.optimizing.given_data import GivenData
from training.optimizing.subject import Subject
from training.work import Array, Arrays, Predict

_EMBEDDINGS = frozenset({"sentence-embedding", "image-embedding"})
_TIMED_BATCHES = (1, 8, 32)
_FILES = ("int8-static",)
_SAME_NUMBERS = ("fp32-optimized",)


class BundleSubject(Subject):
    """`folder` holds a copy of the bundle's files."""

    def __init__(
        self, bundle: Bundle, folder: Path, rows: Arrays | None, given: GivenData | None
    ) -> None:
        manifest = bundle.manifest
        self.folder, self.inputs, self.outputs = folder, manifest.inputs, manifest.outputs
        self.tolerance = manifest.tolerance
        self.is_embedding = manifest.task in _EMBEDDINGS
        self._given, self._extra = given, rows
        self._golden = Golden.from_bytes(bundle.read(GOLDEN_FILE)).inputs
        self._is_batch = manifest.runner == "batch"
        self._reference: list[Array] | None = None
        fixed = {spec.shape[spec.batch_axis] for spec in self.inputs if spec.batch_axis is not None}
        sizes = tuple(size for size in fixed if isinstance(size, int))
        self.timed_batches = sizes[:1] or tuple(
            size for size in _TIMED_BATCHES if size <= max(1, manifest.batching.max_batch_size)
        )
        if given is None:
            self.why_not_evaluated = (
                f"{bundle.name} was imported: without --data nothing says what a change of its weights "
                "costs, so only settings of runtimes are tried"
            )

    def precisions(self) -> tuple[str, ...]:
        if not self._is_batch:
            return ()
        return _SAME_NUMBERS if self._given is None else _FILES

    @property
    def takes_settings(self) -> bool:
        return self._is_batch

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        if self._given is None:
            return ()
        return (self._given.evaluation(self._scores(predict)),)

    def item_scores(self, predict: Predict) -> Array | None:
        return None if self._given is None else self._scores(predict)

    def _scores(self, predict: Predict) -> Array:
        """The reference is asked first, and remembered where others are compared with it."""
        assert self._given is not None
        if self._given.labels is None and self._reference is None:
            answers = (next(iter(predict(batch).values())) for batch in self._given.judging)
            self._reference = list(answers)
        return self._given.scores(predict, self._reference)

    def sample(self, batch: int) -> Arrays:
        """Rows of one shape: given ones, else those of the golden exam, repeated."""
        if self._extra is not None:
            rows = self._extra
        elif self._given is not None:
            rows = self._given.judging[0]
        else:
            rows = self._golden
        count = len(next(iter(rows.values())))
        order = np.resize(np.arange(count), batch)
        return {name: array[order] for name, array in rows.items()}

    def golden_inputs(self) -> Arrays:
        return self._golden

    def calibration(self) -> Iterable[Arrays]:
        if self._given is not None:
            return self._given.calibrating
        return [] if self._extra is None else [self._extra]
