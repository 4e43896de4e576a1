"""The image classifier as Lightning trains it: augmentation, normalisation, loss and optimiser.

Used by `training.tasks.image_classification`. Batches are (uint8 [N, C, S, S], int64 [N]); letters: N
items, C channels, S side in pixels, K classes.
"""

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from models.blocks import ImagePreprocessing
from models.errors import UsageError
from training import losses, optimizer
from training.data.augment import augment
from training.data.mixing import mix
from training.networks.layers import HasOwnLoss
from training.tasks.image_settings import ImageClassificationConfig
from training.tasks.image_teacher import Teacher


class ImageClassifierModule(lightning.LightningModule):
    """Any image network, `training.networks.layers.Layered`."""

    _class_weights: Tensor | None
    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        network: nn.Module,
        config: ImageClassificationConfig,
        block: ImagePreprocessing,
        classes: int,
        class_weights: Tensor | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        """`teacher`: is shown the pictures that the network is shown."""
        super().__init__()
        if isinstance(network, HasOwnLoss) and teacher is not None:
            raise UsageError(
                f"teacher.weight: network {config.network} has a loss of its own, which knows no teacher; "
                "choose another network, or 0"
            )
        if isinstance(network, HasOwnLoss) and class_weights is not None:
            raise UsageError(
                f"class_weights=balanced: network {config.network} has a loss of its own, which takes "
                "no weights; choose another network, or none"
            )
        # Convolutions read pixels with their channels side by side in 0.4 to 0.85 of the time (CPU).
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._scale = block.scale
        self._classes = classes
        self._teacher = teacher
        self.register_buffer("_class_weights", class_weights, persistent=False)
        self.register_buffer("_mean", torch.tensor(block.mean).reshape(1, -1, 1, 1))
        self.register_buffer("_std", torch.tensor(block.std).reshape(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels float [N, C, S, S] in 0–1 → logits float [N, K]."""
        logits: Tensor = self.network(self._normalised(pixels))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        pixels, labels = batch
        with torch.autocast(pixels.device.type, enabled=False):  # pixels keep their 8 bits
            changed = augment(pixels.float() * self._scale, self._config.augment)
            changed, targets = mix(changed, labels, self._classes, self._config.augment)
        image = self._normalised(changed)
        if isinstance(self.network, HasOwnLoss):
            smoothed = losses.smooth(targets, self._classes, self._config.label_smoothing)
            loss = self.network.training_loss(image, smoothed)
        else:
            logits = self.network(image)
            loss = losses.classification_loss(
                logits,
                targets,
                smoothing=self._config.label_smoothing,
                weights=self._class_weights,
            )
            if self._teacher is not None:
                group = self._config.teacher
                told = losses.distillation_loss(logits, self._teacher(changed), group.temperature)
                loss = (1 - group.weight) * loss + group.weight * told
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        pixels, labels = batch
        logits = self(pixels.float() * self._scale)
        if isinstance(self.network, HasOwnLoss):
            loss = self.network.loss(logits, labels)
        else:
            loss = losses.classification_loss(logits, labels, weights=self._class_weights)
        self.log("val_loss", loss, batch_size=len(labels))

    def _normalised(self, pixels: Tensor) -> Tensor:
        scaled = (pixels - self._mean) / self._std
        return scaled.contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)
