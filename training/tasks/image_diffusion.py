"""Image generation by diffusion: pictures of a requested class, in a few denoising steps out of noise.

A kind of work for `training.pipeline`. What is exported is one step, guidance included; the loop around it
is `models.transforms.diffusion`, here as in the service. Letters: N items, C channels, S side in pixels.
"""

from pathlib import Path

import lightning
import numpy as np

from models.blocks import DiffusionPreprocessing
from models.datatypes import DataType
from models.manifest import ManifestDraft, TensorSpec
from models.transforms.diffusion import Denoising
from training import plots
from training.networks.conditional_unet import ConditionalUnet, GuidedStep, UnetShape
from training.tasks.diffusion_module import DiffusionModule
from training.tasks.drawing_settings import ImageDiffusionConfig
from training.tasks.drawing_work import DrawingWork
from training.work import Array, Arrays, ExportPlan, Predict

_ASK_BATCH = 256
_PATH_STEPS = 10  # pictures of the way from noise to picture
_PATH_CLASSES = 6


class ImageDiffusionWork(DrawingWork[ImageDiffusionConfig]):
    """One run. `prepare` must come first."""

    def prepare(self) -> None:
        super().prepare()
        self.require_side(2**self.config.unet.depth, f"unet.depth={self.config.unet.depth}")

    def lightning_module(self) -> DiffusionModule:
        unet = self.config.unet
        shape = UnetShape(
            self.images.channels, self.images.side, self.classes, unet.width, unet.depth
        )
        return DiffusionModule(ConditionalUnet(shape, unet.dropout), self.config)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, DiffusionModule)
        picture = ("batch", self.images.channels, self.images.side, self.images.side)
        inputs = (
            TensorSpec(name="x", dtype=DataType.FLOAT, shape=picture),
            TensorSpec(name="t", dtype=DataType.FLOAT, shape=("batch",)),
            TensorSpec(name="label", dtype=DataType.INT64, shape=("batch",)),
            TensorSpec(name="guidance", dtype=DataType.FLOAT, shape=("batch",)),
        )
        prediction = TensorSpec(name="prediction", dtype=DataType.FLOAT, shape=picture)
        return ExportPlan(GuidedStep(module.network), inputs, (prediction,))

    def draw(self, labels: Array, seed: int, predict: Predict) -> Array:
        noise = self._noise(len(labels), seed)
        parts = []
        for start in range(0, len(labels), _ASK_BATCH):
            rows = slice(start, start + _ASK_BATCH)
            parts.append(self._path(noise[rows], labels[rows], predict)[-1])
        return np.concatenate(parts)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Noise, times over the whole way, labels in turn, guidance from 0 to 4."""
        generator = np.random.default_rng(0)
        return {
            "x": self._noise(batch, 0),
            "t": generator.uniform(0.02, 1, batch).astype(np.float32),
            "label": np.arange(batch, dtype=np.int64) % self.classes,
            "guidance": generator.uniform(0, 4, batch).astype(np.float32),
        }

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, images = self.export_plan(module), self.images
        return ManifestDraft(
            name=self.config.name,
            task=self.config.task,
            description=f"Draws {images.side}×{images.side} pictures of the {self.classes} classes of "
            f"{images.data.name} in {self._block.steps} denoising steps.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=self._block,
            postprocessing=self.picture_block(output="prediction", low=-1.0, high=1.0),
            batching=self.config.batching,
        )

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png, and path.png: the way from noise to picture, a class a row."""
        super().plots(folder, predict)
        labels = np.arange(min(self.classes, _PATH_CLASSES), dtype=np.int64)
        path = self._path(self._noise(len(labels), 0), labels, predict)
        chosen = np.linspace(0, len(path) - 1, _PATH_STEPS).round().astype(int)
        rows = [[path[step][row] for step in chosen] for row in range(len(labels))]
        plots.montage(folder / "path.png", rows, self.captions(len(rows)))

    @property
    def _block(self) -> DiffusionPreprocessing:
        config = self.config
        return DiffusionPreprocessing(
            formulation=config.formulation,
            sampler=config.sampler,
            steps=min(config.steps, config.max_steps_served),
            max_steps=config.max_steps_served,
            guidance_scale=config.guidance_scale,
        )

    def _path(self, noise: Array, labels: Array, predict: Predict) -> list[Array]:
        """What there is before the first step, and after each: float32 [N, C, S, S] in 0–1."""
        block, count = self._block, len(labels)
        way = Denoising(noise, block, block.steps, block.sampler)
        guidance = np.full(count, block.guidance_scale, np.float32)
        shown = [way.x]
        while not way.is_done:
            before = way.step
            inputs = {
                "x": way.x,
                "t": np.full(count, way.t, np.float32),
                "label": labels,
                "guidance": guidance,
            }
            way.advance(predict(inputs)["prediction"])
            if way.step > before:
                shown.append(way.x)
        return [np.clip((x + 1) / 2, 0, 1) for x in shown]

    def _noise(self, count: int, seed: int) -> Array:
        shape = (count, self.images.channels, self.images.side, self.images.side)
        return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
