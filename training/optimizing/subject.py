"""What is optimized, and how it is judged: the one thing that `search` knows of a model.

Two kinds: a training run (`of_work`), which has its data at hand, and a published bundle without any
(`of_bundle`). Rows are named arrays with a leading batch axis.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

from models.manifest import MODEL_FILE, Evaluation, TensorSpec, Tolerance
from training.optimizing.budget import Budget
from training.work import Array, Arrays, Predict


class Subject(ABC):
    """A reference graph in `folder`, below which variants are written."""

    folder: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    # Of the golden exam, for the reference's own graph.
    tolerance: Tolerance
    # Answers are vectors that are compared by their direction.
    is_embedding: bool
    # Whether `item_scores` gives any; answers are remembered for it, which of dense ones would be gigabytes.
    scores_items: bool = True
    # Each variant's golden exam is its own, with its own answers.
    has_own_exams: bool = False
    # Batch sizes at which variants are timed.
    timed_batches: tuple[int, ...]
    # Why no figures can be had; empty where `evaluate` gives some.
    why_not_evaluated: str = ""

    @property
    def graph(self) -> Path:
        return self.folder / MODEL_FILE

    @abstractmethod
    def precisions(self) -> tuple[str, ...]:
        """Files worth trying, by `Target.form`; () where variants would do harm."""

    @property
    @abstractmethod
    def takes_settings(self) -> bool:
        """Whether its graph may be run by other runtimes and with other settings, as it is."""

    @abstractmethod
    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Figures on held-out rows, the main metric first; () where there are no such rows."""

    @abstractmethod
    def item_scores(self, predict: Predict) -> Array | None:
        """One number per held-out item whose mean is the main metric; None where it is no such mean."""

    @abstractmethod
    def sample(self, batch: int) -> Arrays:
        """Real rows where there are any, the same on every call."""

    @abstractmethod
    def golden_inputs(self) -> Arrays:
        """The questions of the golden exam."""

    @abstractmethod
    def calibration(self) -> Iterable[Arrays]:
        """Rows from which ranges are learned; never those that a variant is judged on."""

    def objection(
        self,
        precision: str,  # noqa: ARG002
        reference: tuple[Evaluation, ...],
        given: tuple[Evaluation, ...],
        budget: Budget,
    ) -> str:
        """Why figures `given` may not be published; empty: they may."""
        return budget.objection(reference, given)

    def own_predict(self, graph: Path) -> Predict | None:  # noqa: ARG002
        """How to ask a graph that carries state, which no plain session serves; None: a session is right."""
        return None

    def timed_run(self, graph: Path, batch: int) -> Callable[[], object] | None:  # noqa: ARG002
        """What is timed; None: a run over `sample`."""
        return None

    def write_exam(self, graph: Path) -> None:  # noqa: ARG002
        """A golden exam of the variant's own, where it is served by one; else nothing."""
        return
