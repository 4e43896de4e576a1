"""What one kind of work must know to bring a checkpoint into a bundle.

`importer` calls these methods in order; export, verification and publication are written once against
them, with the same code that trained models go through.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from models.blocks import Postprocessing, Preprocessing
from models.errors import UsageError
from models.manifest import Gate, Tolerance
from training import predict
from training.importing.checkpoint import Checkpoint
from training.report import Reporter
from training.work import Arrays, ExportPlan, Predict


@dataclass(frozen=True)
class ImportOptions:
    """What no file of a checkpoint says."""

    may_have_no_answer: bool = False
    """Question answering: trained with questions that their context does not answer."""

    context_tokens: int = 0
    """Text generation: prompt and answer together; 0: the checkpoint's own, at most a bound of ours."""

    precision: Literal["fp32", "int8", "int4"] = "fp32"
    """Text generation: of the weights that are published."""


@dataclass(frozen=True)
class Difference:
    """Our answer against the library's, to one question. `value` is infinite where they are of different
    kinds (another number of entities, another shape), and `problem` says how."""

    question: str
    value: float
    problem: str = ""


class ImportKind(ABC):
    """One checkpoint of one kind of work. `read` must come first."""

    task: ClassVar[str]
    library: ClassVar[str]
    """What the answers are compared with, in words."""

    measure: ClassVar[str]
    """What `Difference.value` is."""

    limit: ClassVar[float] = 1e-3
    parity_atol: ClassVar[float] = 1e-4
    """How far torch and ONNX Runtime may differ when the person does not say."""

    runner: ClassVar[Literal["batch", "generation"]] = "batch"
    tolerance: ClassVar[Tolerance] = Tolerance()
    largest_batch: ClassVar[int] = 32

    def __init__(self, checkpoint: Checkpoint, options: ImportOptions | None = None) -> None:
        self.checkpoint = checkpoint
        self.options = options or ImportOptions()
        self.module: Any = None

    @abstractmethod
    def read(self) -> None:
        """Load the network, its tokenizer or image processor. Raises DataError naming what is missing."""

    @abstractmethod
    def summary(self) -> dict[str, str]:
        """What was read, for the person and the card."""

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing: ...

    @property
    @abstractmethod
    def postprocessing(self) -> Postprocessing: ...

    @abstractmethod
    def plan(self) -> ExportPlan: ...

    @abstractmethod
    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        """Of real texts or pictures; the same on every call with the same arguments."""

    def torch_predict(self, plan: ExportPlan) -> Predict:
        """How to ask torch."""
        return predict.torch_predict(plan, torch.device("cpu"))

    def onnx_predict(self, graph: Path) -> Predict:
        """How to ask the exported graph."""
        return predict.onnx_predict(graph)

    def compress(self, graph: Path, ask: Predict, report: Reporter) -> tuple[Gate, ...]:  # noqa: ARG002
        """Make of the verified graph, which `ask` asks, one of `options.precision`, in place. Raises
        GateFailed, and UsageError where this kind of work has no such graph."""
        raise UsageError(f"--precision {self.options.precision}: not for {self.task}")

    def golden_inputs(self) -> Arrays:
        return self.sample_inputs(3, None)

    @abstractmethod
    def write_assets(self, folder: Path) -> None:
        """Files that pre- and postprocessing need."""

    @abstractmethod
    def differences(self, predict: Predict) -> Iterator[Difference]:
        """Ask the library and the exported graph, with the bundle's pre- and postprocessing, the same."""

    def parameters(self) -> int:
        return sum(weight.numel() for weight in self.module.parameters())


def write_labels(folder: Path, names: list[str], file: str = "labels.txt") -> None:
    (folder / file).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
