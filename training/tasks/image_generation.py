"""Image generation: pictures of a requested class, from a conditional variational autoencoder.

A kind of work for `training.pipeline`. Letters: N items, C channels, S side in pixels, L latent, K
classes.
"""

from pathlib import Path

import lightning
import numpy as np
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional

from models.blocks import ClassConditionPreprocessing
from models.datatypes import DataType
from models.manifest import ManifestDraft, TensorSpec
from training import optimizer
from training.networks.conditional_vae import ConditionalVae, VaeShape
from training.tasks.drawing_settings import ImageGenerationConfig
from training.tasks.drawing_work import DrawingWork
from training.tasks.interpolation import draw_interpolation
from training.work import Array, Arrays, ExportPlan, Predict

_ASK_BATCH = 512


class VaeModule(lightning.LightningModule):
    """Evidence lower bound in nats per picture. Batches are (uint8 [N, C, S, S], int64 [N])."""

    def __init__(self, network: ConditionalVae, config: ImageGenerationConfig) -> None:
        super().__init__()
        self.network = network
        self._config = config

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch[1]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizer.configure(self.network, self._config.optim, steps)

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        pixels, labels = batch
        pictures = pixels.float() / 255
        logits, mean, log_variance = self.network(pictures, labels)
        count = len(labels)
        rebuilt = functional.binary_cross_entropy_with_logits(logits, pictures, reduction="sum")
        # Divergence from the standard normal, in closed form (Kingma & Welling, appendix B).
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        loss: Tensor = (rebuilt + self._config.beta * divergence) / count
        return loss


class ImageGenerationWork(DrawingWork[ImageGenerationConfig]):
    """One run. `prepare` must come first."""

    def lightning_module(self) -> VaeModule:
        return VaeModule(ConditionalVae(self.shape), self.config)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, VaeModule)
        shape = self.shape
        return ExportPlan(
            module.network.generator,
            inputs=(
                TensorSpec(name="noise", dtype=DataType.FLOAT, shape=("batch", shape.latent)),
                TensorSpec(name="label", dtype=DataType.INT64, shape=("batch",)),
            ),
            outputs=(
                TensorSpec(
                    name="image",
                    dtype=DataType.FLOAT,
                    shape=("batch", shape.channels, shape.side, shape.side),
                ),
            ),
        )

    def draw(self, labels: Array, seed: int, predict: Predict) -> Array:
        noise = np.random.default_rng(seed).standard_normal((len(labels), self.shape.latent))
        inputs = {"noise": noise.astype(np.float32), "label": labels}
        parts = []
        for start in range(0, len(labels), _ASK_BATCH):
            rows = {name: value[start : start + _ASK_BATCH] for name, value in inputs.items()}
            parts.append(predict(rows)["image"])
        return np.concatenate(parts)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Standard normal noise float32 [batch, L] and labels in turn, int64 [batch]."""
        noise = np.random.default_rng(0).standard_normal((batch, self.shape.latent))
        labels = np.arange(batch, dtype=np.int64) % self.shape.classes
        return {"noise": noise.astype(np.float32), "label": labels}

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan = self.export_plan(module)
        data, shape = self.images.data, self.shape
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Draws {shape.side}×{shape.side} pictures of the {shape.classes} classes "
            f"of {data.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=ClassConditionPreprocessing(noise_size=shape.latent),
            postprocessing=self.picture_block(),
            batching=self.config.batching,
        )

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png, and interpolation.png: from one noise to another, a class a row."""
        super().plots(folder, predict)
        draw_interpolation(folder, self, self.shape.latent, predict)

    @property
    def shape(self) -> VaeShape:
        return VaeShape(
            channels=self.images.channels,
            side=self.images.side,
            classes=len(self.images.data.class_names),
            latent=self.config.latent,
            hidden=self.config.hidden,
        )
