"""Image reconstruction: a picture in, the same picture out, without its noise or through a narrow middle.

A kind of work for `training.pipeline`. Letters: N items, C channels, S side in pixels.
"""

from pathlib import Path
from typing import Any

import lightning
import numpy as np
from torch import nn
from torch.utils.data import DataLoader

from models.blocks import ImagePostprocessing, ReconstructionPostprocessing
from models.datatypes import DataType
from models.errors import UsageError
from models.manifest import Evaluation, ManifestDraft, TensorSpec
from training import metrics, plots
from training.data.filters import best_gaussian, gaussian_filter, median_filter
from training.data.images import ImageData
from training.data.loaders import array_loader
from training.data.shapes import read_shapes
from training.networks.redrawing import Between, Redrawer, Redrawing
from training.tasks.image_work import ImageWork
from training.tasks.reconstruction_module import ReconstructionModule
from training.tasks.reconstruction_settings import ImageReconstructionConfig
from training.work import Array, Arrays, ExportPlan, Predict

_EVALUATION_BATCH = 256
_LEAST_ERROR = 1e-10
_SHOWN = 10
_FRAMES = 10


class ImageReconstructionWork(ImageWork[ImageReconstructionConfig]):
    """One run. `prepare` must come first."""

    def prepare(self) -> None:
        super().prepare()
        side, multiple = self.images.side, 2**self.config.halvings
        if side % multiple:
            raise UsageError(
                f"pictures of {side}×{side} pixels cannot be halved {self.config.halvings} times: set "
                f"image.side to a multiple of {multiple}, or fewer halvings"
            )

    def own_pictures(self) -> ImageData:
        shapes = self.config.shapes
        if self.config.own_data == "shapes":
            return read_shapes(shapes.train, shapes.test, shapes.side)
        return super().own_pictures()

    def lightning_module(self) -> ReconstructionModule:
        config = self.config
        network = Redrawer(
            self.images.channels,
            config.width,
            config.latent,
            config.halvings,
            is_variational=config.beta > 0,
        )
        return ReconstructionModule(network, config, self.images.block)

    def train_loader(self) -> DataLoader[Any]:
        pixels = self.images.train.pixels
        return array_loader(pixels, batch_size=self.config.batch_size, shuffle=True)

    def val_loader(self) -> DataLoader[Any]:
        pixels = self.images.validation.pixels
        return array_loader(pixels, batch_size=self.config.batch_size, shuffle=False)

    def export_plan(self, module: lightning.LightningModule) -> ExportPlan:
        assert isinstance(module, ReconstructionModule)
        block = self.images.block
        graph: nn.Module = Redrawing(module.network, block.mean, block.std).to(module.device)
        shape = ("batch", self.images.channels, self.images.side, self.images.side)
        image, second, redrawn = (
            TensorSpec(name=name, dtype=DataType.FLOAT, shape=shape)
            for name in ("image", "image_to", "redrawn")
        )
        if not self.config.interpolates:
            return ExportPlan(graph, (image,), (redrawn,))
        assert isinstance(graph, Redrawing)
        mix = TensorSpec(name="mix", dtype=DataType.FLOAT, shape=("batch",))
        return ExportPlan(Between(graph), (image, second, mix), (redrawn,))

    def evaluate(self, predict: Predict) -> tuple[Evaluation, ...]:
        """Peak signal-to-noise ratio of test pictures (main), beside simpler ways, and of clean ones."""
        clean = self._scaled(self.images.test.pixels)
        level = self.config.noise_level
        noisy = self._noisy(clean, level, 1)
        figures = [self._figure("psnr", noisy, clean, predict, self._baselines(noisy, clean))]
        if level:
            figures.append(self._figure("psnr-of-clean", clean, clean, predict, {}))
        return tuple(figures)

    def sample_inputs(self, batch: int, length: int | None) -> Arrays:  # noqa: ARG002
        """Test pictures with noise; where two are taken, each with its neighbour, half-way between."""
        order = np.random.default_rng(0).permutation(len(self.images.test))
        clean = self._scaled(self.images.test.pixels[np.resize(order, batch)])
        return self._inputs(self._noisy(clean, self.config.noise_level, 2), mix=0.5)

    def draft(self, module: lightning.LightningModule) -> ManifestDraft:
        plan, images, config = self.export_plan(module), self.images, self.config
        does = "Takes noise away from" if config.noise_level else "Redraws"
        return ManifestDraft(
            name=config.name,
            task=config.task,
            description=f"{does} {images.side}×{images.side} pictures like those of {images.data.name}.",
            inputs=plan.inputs,
            outputs=plan.outputs,
            preprocessing=images.block,
            postprocessing=ReconstructionPostprocessing(
                picture=ImagePostprocessing(
                    output="redrawn", channel_order="L" if images.channels == 1 else "RGB"
                ),
                second_input="image_to" if config.interpolates else None,
                mix_input="mix" if config.interpolates else None,
                noise_level=config.noise_level,
            ),
            batching=config.batching,
        )

    def write_assets(self, folder: Path) -> None:
        """Nothing: all that is known is in the graph and the manifest."""

    def plots(self, folder: Path, predict: Predict) -> None:
        """samples.png: pictures, what the network was given, and what it made of them; interpolation.png."""
        clean = self._scaled(self.images.test.pixels[:_SHOWN])
        given = self._noisy(clean, self.config.noise_level, 1)
        redrawn = self._redrawn(given, predict)
        plots.montage(folder / "samples.png", [clean, given, redrawn], ["real", "given", "redrawn"])
        if self.config.interpolates:
            self._draw_between(folder, clean, predict)

    def quantization_candidates(self) -> tuple[str, ...]:
        return ("int8-static",)

    def calibration_inputs(self) -> list[Arrays]:
        clean = self._scaled(self.images.validation.pixels[:_EVALUATION_BATCH])
        return [self._inputs(self._noisy(clean, self.config.noise_level, 3), mix=0.5)]

    def _draw_between(self, folder: Path, pictures: Array, predict: Predict) -> None:
        frames: list[Array] = []
        for first, second in zip(pictures[::2], pictures[1::2], strict=False):
            begin, end = (np.repeat(each[None], _FRAMES, axis=0) for each in (first, second))
            inputs = self._inputs(begin, mix=0.0)
            inputs["image_to"] = self._inputs(end, mix=0.0)["image"]
            inputs["mix"] = np.linspace(0, 1, _FRAMES, dtype=np.float32)
            frames.append(predict(inputs)["redrawn"])
        plots.montage(folder / "interpolation.png", frames, [""] * len(frames))

    def _figure(
        self,
        metric: str,
        given: Array,
        clean: Array,
        predict: Predict,
        baselines: dict[str, float],
    ) -> Evaluation:
        ratios = _psnr(self._redrawn(given, predict), clean)
        return Evaluation(
            dataset=self.images.data.name,
            split="test",
            metric=metric,
            value=float(ratios.mean()),
            interval=metrics.bootstrap_interval(ratios, lambda part: float(part.mean()), 0),
            samples=len(ratios),
            baselines=baselines,
        )

    def _baselines(self, noisy: Array, clean: Array) -> dict[str, float]:
        """Where there is no noise, the mean picture: what is known without looking."""
        if not self.config.noise_level:
            mean = self._scaled(self.images.train.pixels).mean(axis=0, keepdims=True)
            return {"mean-picture": float(_psnr(np.repeat(mean, len(clean), 0), clean).mean())}
        known = self._scaled(self.images.validation.pixels)
        deviation = best_gaussian(self._noisy(known, self.config.noise_level, 4), known)
        ways = {
            "as-given": np.clip(noisy, 0, 1),
            "median-filter": np.clip(median_filter(noisy), 0, 1),
            "gaussian-filter": np.clip(gaussian_filter(noisy, deviation), 0, 1),
        }
        return {name: float(_psnr(pictures, clean).mean()) for name, pictures in ways.items()}

    def _redrawn(self, given: Array, predict: Predict) -> Array:
        """Float32 [N, C, S, S] in 0–1."""
        parts = []
        for start in range(0, len(given), _EVALUATION_BATCH):
            inputs = self._inputs(given[start : start + _EVALUATION_BATCH], mix=0.0)
            parts.append(predict(inputs)["redrawn"])
        return np.concatenate(parts)

    def _inputs(self, pictures: Array, *, mix: float) -> Arrays:
        """Of pictures in 0–1."""
        block = self.images.block
        mean, std = (
            np.asarray(each, np.float32).reshape(-1, 1, 1) for each in (block.mean, block.std)
        )
        image = ((pictures - mean) / std).astype(np.float32)
        if not self.config.interpolates:
            return {"image": image}
        share = np.full(len(image), mix, np.float32)
        return {"image": image, "image_to": np.roll(image, 1, axis=0), "mix": share}

    def _scaled(self, pixels: Array) -> Array:
        scaled: Array = pixels / np.float32(255)
        return scaled

    def _noisy(self, pictures: Array, level: float, seed: int) -> Array:
        noise = np.random.default_rng(seed).standard_normal(pictures.shape)
        return (pictures + level * noise).astype(np.float32)


def _psnr(given: Array, clean: Array) -> Array:
    """Decibels, float [N]: how small the error is beside the largest value."""
    errors = ((given.astype(np.float64) - clean) ** 2).mean(axis=(1, 2, 3))
    ratios: Array = -10 * np.log10(np.maximum(errors, _LEAST_ERROR))
    return ratios
