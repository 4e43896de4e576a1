"""Image generation: pictures of a requested class, from a conditional variational autoencoder.

A kind of work for `training.pipeline`. Letters: N items, C channels, S side in pixels, L latent, K
classes. A generator has no right answers to compare with; it is judged by whether a classifier
recognises the requested class, and by whether the pictures of a class differ as real ones do.
"""

from functools import cached_property
from pathlib import Path

import lightning
import numpy as np
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional

from models.blocks import ClassConditionPreprocessing, ImagePostprocessing
from models.datatypes import DataType
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from training import metrics, optimizer, plots
from training.networks.conditional_vae import ConditionalVae, VaeShape
from training.tasks.image_judge import Judge, train_judge
from training.tasks.image_settings import ImageGenerationConfig
from training.tasks.image_work import ImageWork
from training.work import Array, Arrays, ExportPlan, Predict

_ASK_BATCH = 512
_SHOWN_PER_CLASS = 10
_SHOWN_SIDE = 128  # pixels, about; tiny pictures are enlarged for people


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


class ImageGenerationWork(ImageWork[ImageGenerationConfig]):
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

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Share recognised as the requested class, diversity, and how well the judge itself sees."""
        count = self.config.samples_per_class * self.shape.classes
        inputs = self.sample_inputs(count, None)
        pictures = self._pictures(inputs, predict)
        labels = inputs["label"]
        seen = self.judge.classes(pictures)
        recognised = Evaluation(
            dataset=self.images.data.name,
            split="generated",
            metric="recognised",
            value=metrics.accuracy(labels, seen),
            interval=metrics.wilson_interval(int((labels == seen).sum()), count),
            samples=count,
            baselines={"chance": 1 / self.shape.classes},
        )
        real = self.images.test
        spread = _spread_within_classes(pictures, labels)
        real_spread = _spread_within_classes(real.pixels / np.float32(255), real.labels)
        diversity = Evaluation(
            dataset=self.images.data.name,
            split="generated",
            metric="diversity-of-real",  # 1: a class's pictures differ as real ones do; 0: all alike
            value=spread / max(real_spread, 1e-6),
            samples=count,
        )
        return recognised, diversity, self.judge.accuracy

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
            postprocessing=ImagePostprocessing(
                channel_order="L" if shape.channels == 1 else "RGB",
                upscale=max(1, min(64, _SHOWN_SIDE // shape.side)),
            ),
            batching=self.config.batching,
        )

    def write_assets(self, folder: Path) -> None:
        names = self.images.data.class_names
        (folder / "labels.txt").write_text("".join(f"{name}\n" for name in names))

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: a row of pictures for each class."""
        names = self.images.data.class_names
        inputs = self.sample_inputs(_SHOWN_PER_CLASS * len(names), None)
        order = np.argsort(inputs["label"], kind="stable")
        pictures = self._pictures(inputs, predict)[order]
        captions = [names[label] for label in inputs["label"][order]]
        plots.image_sheet(folder / "samples.png", list(pictures), captions)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-dynamic",)

    @cached_property
    def judge(self) -> Judge:
        """Trained when the first evaluation needs it."""
        config = self.config
        return train_judge(self.images, config.judge_epochs, config.seed, config.device)

    @property
    def shape(self) -> VaeShape:
        return VaeShape(
            channels=self.images.channels,
            side=self.images.side,
            classes=len(self.images.data.class_names),
            latent=self.config.latent,
            hidden=self.config.hidden,
        )

    def _pictures(self, inputs: Arrays, predict: Predict) -> Array:
        """Float32 [N, C, S, S] in 0–1."""
        count = len(inputs["label"])
        parts = []
        for start in range(0, count, _ASK_BATCH):
            rows = {name: value[start : start + _ASK_BATCH] for name, value in inputs.items()}
            parts.append(predict(rows)["image"])
        return np.concatenate(parts)


def _spread_within_classes(pictures: Array, labels: Array) -> float:
    """Root mean square deviation of pixels from the mean picture of their class."""
    variances = [pictures[labels == label].var(axis=0).mean() for label in np.unique(labels)]
    return float(np.sqrt(np.mean(variances)))
