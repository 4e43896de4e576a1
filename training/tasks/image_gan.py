"""Image generation by a generative adversarial network: of a requested class, or of whatever it likes.

A kind of work for `training.pipeline`. Letters: N items, C channels, S side in pixels, L latent numbers.
"""

from pathlib import Path
from typing import Any

import lightning
import numpy as np

from models.blocks import ClassConditionPreprocessing
from models.datatypes import DataType
from models.manifest import ManifestDraft, TensorSpec
from training.networks.adversarial import GanShape
from training.tasks.drawing_settings import ImageGanConfig
from training.tasks.drawing_work import DrawingWork
from training.tasks.gan_module import GanModule
from training.tasks.interpolation import draw_interpolation
from training.work import Array, Arrays, ExportPlan, Predict

_ASK_BATCH = 512


class ImageGanWork(DrawingWork[ImageGanConfig]):
    """One run. `prepare` must come first."""

    def prepare(self) -> None:
        super().prepare()
        self.require_side(2**self.config.depth, f"depth={self.config.depth}")

    @property
    def is_conditional(self) -> bool:
        return self.config.conditional

    def trainer_options(self) -> dict[str, Any]:
        # Lightning clips gradients in its own loop only; the module does so itself.
        return {"gradient_clip_val": None}

    def lightning_module(self) -> GanModule:
        config, images = self.config, self.images
        classes = self.classes if self.is_conditional else 0
        shape = GanShape(
            images.channels, images.side, classes, config.latent, config.width, config.depth
        )
        return GanModule(shape, config)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, GanModule)
        noise = TensorSpec(name="noise", dtype=DataType.FLOAT, shape=("batch", self.config.latent))
        label = TensorSpec(name="label", dtype=DataType.INT64, shape=("batch",))
        picture = TensorSpec(
            name="image",
            dtype=DataType.FLOAT,
            shape=("batch", self.images.channels, self.images.side, self.images.side),
        )
        inputs = (noise, label) if self.is_conditional else (noise,)
        return ExportPlan(module.network, inputs, (picture,))

    def draw(self, labels: Array, seed: int, predict: Predict) -> Array:
        inputs = self._inputs(labels, seed)
        parts = []
        for start in range(0, len(labels), _ASK_BATCH):
            rows = {name: value[start : start + _ASK_BATCH] for name, value in inputs.items()}
            parts.append(predict(rows)["image"])
        return np.concatenate(parts)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Standard normal noise float32 [batch, L] and, where it is told, labels in turn."""
        return self._inputs(np.arange(batch, dtype=np.int64) % self.classes, 0)

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, images = self.export_plan(module), self.images
        of_what = f"the {self.classes} classes" if self.is_conditional else "any class"
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Draws {images.side}×{images.side} pictures of {of_what} of {images.data.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=ClassConditionPreprocessing(
                noise_size=self.config.latent, label_input="label" if self.is_conditional else None
            ),
            postprocessing=self.picture_block(),
            batching=self.config.batching,
        )

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png, and interpolation.png: from one noise to another."""
        super().plots(folder, predict)
        draw_interpolation(folder, self, self.config.latent, predict)

    def _inputs(self, labels: Array, seed: int) -> Arrays:
        noise = np.random.default_rng(seed).standard_normal((len(labels), self.config.latent))
        inputs: Arrays = {"noise": noise.astype(np.float32)}
        if self.is_conditional:
            inputs["label"] = labels
        return inputs
