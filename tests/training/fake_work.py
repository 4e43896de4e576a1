"""A kind of work that trains in a blink: which side of a line does a point lie on?"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from models.blocks import ClassificationPostprocessing, TensorPreprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from training import metrics, optimizer
from training.config import RunConfig
from training.data.loaders import array_loader
from training.report import Reporter
from training.work import Arrays, ExportPlan, Predict, Work

FEATURES = 4


def fake_config(**changes: Any) -> RunConfig:
    base = {"recipe": "fake", "task": "tensor", "name": "fake", "epochs": 2, "batch_size": 16}
    return RunConfig.model_validate(base | changes)


def silent_reporter() -> tuple[Reporter, io.StringIO]:
    text = io.StringIO()
    return Reporter(Console(file=text, width=200)), text


class FakeModule(lightning.LightningModule):
    def __init__(self, config: RunConfig, on_step: Callable[[int], None]) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, 2))
        self.config, self.on_step = config, on_step

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        loss = functional.cross_entropy(self.network(batch[0]), batch[1])
        self.on_step(self.trainer.global_step)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        self.log("val_loss", functional.cross_entropy(self.network(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizer.configure(self.network, self.config.optim, steps)


class FakeWork(Work[RunConfig]):
    on_step: Callable[[int], None] = staticmethod(lambda step: None)

    def prepare(self) -> None:
        generator = np.random.default_rng(7)
        self.rows = generator.standard_normal((128, FEATURES)).astype(np.float32)
        self.labels = (self.rows.sum(axis=1) > 0).astype(np.int64)

    def data_summary(self) -> dict[str, str]:
        return {"train": "128 points"}

    def data_sha256(self) -> str:
        return "0" * 64

    def lightning_module(self) -> FakeModule:
        return FakeModule(self.config, self.on_step)

    def train_loader(self) -> DataLoader[Any]:
        return array_loader(self.rows, self.labels, batch_size=16, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        return array_loader(self.rows, self.labels, batch_size=64, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, FakeModule)
        return plan_for(module.network)

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        answer = predict({"point": self.rows})["logits"].argmax(axis=1)
        right = int((answer == self.labels).sum())
        return (
            Evaluation(
                dataset="line",
                split="test",
                metric="accuracy",
                value=right / len(self.rows),
                interval=metrics.wilson_interval(right, len(self.rows)),
                samples=len(self.rows),
                baselines={"majority": 0.5},
            ),
        )

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:
        return {"point": self.rows[:batch]}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=TensorPreprocessing(),
            postprocessing=ClassificationPostprocessing(),
        )

    def write_assets(self, folder: Path) -> None:
        (folder / "labels.txt").write_text("below\nabove\n")

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-dynamic", "int8-static")

    def calibration_inputs(self) -> list[Arrays]:
        return [{"point": self.rows}]


def plan_for(network: nn.Module, **changes: Any) -> ExportPlan:
    point = TensorSpec(name="point", dtype=DataType.FLOAT, shape=("batch", FEATURES))
    logits = TensorSpec(name="logits", dtype=DataType.FLOAT, shape=("batch", 2))
    return ExportPlan(network.eval(), (point,), (logits,), **changes)


def prepared(**changes: Any) -> FakeWork:
    work = FakeWork(fake_config(**changes), None)
    work.prepare()
    torch.manual_seed(0)
    return work
