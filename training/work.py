"""The plug-in protocol of training: what one kind of work knows, and nothing that all kinds share.

`training.pipeline` calls these methods in order; the stages (train, evaluate, export, verify,
optimize, publish) are written once against them. Judging goes through `Predict` alone, so the torch
network, the exported graph and every quantised variant are examined by the same code on the same
rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic

import lightning
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from models.errors import UsageError
from models.manifest import MODEL_FILE, Evaluation, Gate, ManifestDraft, TensorSpec
from training.config import ConfigT
from training.optimizing.budget import Budget

Array = NDArray[Any]
Arrays = dict[str, Array]
# Batched named arrays in (leading batch axis), batched named arrays out.
Predict = Callable[[Mapping[str, Array]], Arrays]


@dataclass
class ExportPlan:
    """How to turn a trained network into a graph, or into several: `beside` are the bundle's other ones.

    `module` is in eval mode; its forward takes tensors in the order of `inputs` and returns one
    tensor, or a tuple in the order of `outputs`. Named axes of the specs become dynamic axes. Where
    there are graphs beside, the work brings its own ways to ask (`torch_predict`, `onnx_predict`), which
    take `sample_inputs` through all of them.
    """

    module: torch.nn.Module
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_sizes: tuple[int, ...] = (1, 2, 5)
    lengths: tuple[int, ...] = ()  # sequence lengths to verify; empty where there is no such axis
    axis_limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # axis → (min, max)
    custom_translations: Mapping[Callable[..., Any], Callable[..., Any]] | None = None
    finish: Callable[[Path], None] | None = None  # last changes to the written graph, in place
    file: str = MODEL_FILE
    # Inputs to trace with, of a batch size and a length; None: the work's `sample_inputs`.
    example: "Callable[[int, int | None], Arrays] | None" = None
    beside: "tuple[ExportPlan, ...]" = ()


@dataclass(frozen=True)
class CardTable:
    """A section of the model card: a table of texts with what it is under, and a sentence on it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Work(ABC, Generic[ConfigT]):
    """One run's kind of work. Methods are called in the order in which they stand here."""

    # Whether `train_loader` gives each of several processes (`training.distributed`) its own part.
    is_distributable: ClassVar[bool] = False
    # Batch sizes at which variants are timed.
    timed_batches: ClassVar[tuple[int, ...]] = (1, 8, 32)
    # Whether each variant has a golden exam of its own, because its engine asks for equal answers.
    serves_variants: ClassVar[bool] = False
    # Whether the graph may be run as it is by other runtimes and in other arithmetic.
    takes_runtime_settings: ClassVar[bool] = True

    def __init__(self, config: ConfigT, data: Path | None) -> None:
        self.config = config
        self.data = data

    @abstractmethod
    def prepare(self) -> None:
        """Read and split the data, fit the tokenizer. Raises DataError naming file and line."""

    @abstractmethod
    def data_summary(self) -> dict[str, str]:
        """What was read, as printed after `prepare`: e.g. {"train": "1,437 images"}."""

    @abstractmethod
    def data_sha256(self) -> str:
        """Hex digest of everything the run learned from or was judged on."""

    @abstractmethod
    def lightning_module(self) -> lightning.LightningModule:
        """The untrained network with its loss and optimiser; seeds are already set.

        It must log `train_loss` every step and `val_loss` every validation (`self.log`): the loss
        curve, the progress line and the check for a broken run read these two names.
        """

    @abstractmethod
    def train_loader(self) -> DataLoader[Any]: ...

    @abstractmethod
    def val_loader(self) -> DataLoader[Any]: ...

    def trainer_options(self) -> dict[str, Any]:
        """More arguments for `lightning.Trainer`, e.g. {"val_check_interval": 200}."""
        return {}

    def fold(self, number: int, count: int) -> "Work[ConfigT]":  # noqa: ARG002
        """Another prepared work of this kind, for cross-validation: it is judged on fold `number` (from
        0) of this one's training and validation items, and learns from the others.

        Raises UsageError where this kind of work has no folds.
        """
        raise UsageError(f"folds: {self.config.task} cannot be cross-validated here; set folds=0")

    @abstractmethod
    def export_plan(self, module: lightning.LightningModule) -> ExportPlan: ...

    def calibrate(self, predict: Predict) -> None:  # noqa: ARG002
        """Fit what is fitted after training, e.g. a temperature, on the validation split only."""
        return

    @abstractmethod
    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Figures on the held-out split; the first is the main metric, with its interval."""

    @abstractmethod
    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Real held-out rows where possible, the same on every call with the same arguments."""

    def torch_predict(self, plan: ExportPlan) -> Predict | None:  # noqa: ARG002
        """How to ask torch. None: call `plan.module` (right unless the graph carries state)."""
        return None

    def onnx_predict(self, graph: Path) -> Predict | None:  # noqa: ARG002
        """How to ask the exported graph. None: one plain ONNX Runtime run."""
        return None

    def verify_more(self, torch_side: Predict, onnx_side: Predict) -> tuple[Gate, ...]:  # noqa: ARG002
        """Gates of parity beyond equal outputs, e.g. that both sides write the same text."""
        return ()

    def golden(self, predict: Predict) -> tuple[Arrays, Arrays]:
        """Inputs and outputs of the golden exam, ≥ 3 items; `predict` is the ONNX graph."""
        inputs = self.sample_inputs(3, None)
        return inputs, predict(inputs)

    @abstractmethod
    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        """Everything but evaluation, gates, variants and provenance, which the pipeline adds."""

    @abstractmethod
    def write_assets(self, folder: Path) -> None:
        """Files that pre- and postprocessing need: tokenizer.json, labels.txt."""

    def plots(self, folder: Path, predict: Predict) -> None:  # noqa: ARG002
        """PNG files of this kind of work; the loss curve is drawn for all by the pipeline."""
        return

    def tables(self, predict: Predict) -> tuple[CardTable, ...]:  # noqa: ARG002
        """More of the model card than its figures, e.g. what it takes for what; on the held-out split."""
        return ()

    def item_scores(self, predict: Predict) -> Array | None:  # noqa: ARG002
        """A number for every held-out item, float or bool [N], whose mean is the main metric: for intervals
        of differences. None where the main metric is no such mean."""
        return None

    def quantization_candidates(self) -> tuple[str, ...]:
        """Files worth trying (`training.optimizing.targets`, by `form`); () where they would do harm."""
        return ()

    def variant_objection(
        self,
        precision: str,  # noqa: ARG002
        reference: tuple[Evaluation, ...],
        given: tuple[Evaluation, ...],
        budget: Budget,
    ) -> str:
        """Why a variant with the figures `given` may not be published; empty: it may."""
        return budget.objection(reference, given)

    def timed_run(self, graph: Path, batch: int) -> Callable[[], object] | None:  # noqa: ARG002
        """What is timed, at each of `timed_batches`. None: a run over `sample_inputs`."""
        return None

    def calibration_inputs(self) -> Iterable[Arrays]:
        """Batches of validation rows from which static int8 learns the ranges of values."""
        return ()
