"""The image classifier as Lightning trains it: augmentation, normalisation, loss and optimiser.

Used by `training.tasks.image_classification`. Batches are (uint8 [N, C, S, S], int64 [N]); letters: N
items, C channels, S side in pixels, K classes.
"""

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn import functional

from models.blocks import ImagePreprocessing
from training import optimizer
from training.data.augment import augment
from training.networks.layers import HasOwnLoss
from training.tasks.image_settings import ImageClassificationConfig


class ImageClassifierModule(lightning.LightningModule):
    """Any image network, `training.networks.layers.Layered`."""

    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        network: nn.Module,
        config: ImageClassificationConfig,
        block: ImagePreprocessing,
    ) -> None:
        super().__init__()
        # Convolutions read pixels with their channels side by side in 0.4 to 0.85 of the time (CPU).
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._scale = block.scale
        self.register_buffer("_mean", torch.tensor(block.mean).reshape(1, -1, 1, 1))
        self.register_buffer("_std", torch.tensor(block.std).reshape(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels float [N, C, S, S] in 0–1 → logits float [N, K]."""
        logits: Tensor = self.network(self._normalised(pixels))
        return logits

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        pixels, labels = batch
        image = self._normalised(augment(pixels.float() * self._scale, self._config.augment))
        if isinstance(self.network, HasOwnLoss):
            loss = self.network.training_loss(image, labels)
        else:
            smoothing = self._config.label_smoothing
            loss = functional.cross_entropy(self.network(image), labels, label_smoothing=smoothing)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        pixels, labels = batch
        logits = self(pixels.float() * self._scale)
        own = isinstance(self.network, HasOwnLoss)
        loss = (
            self.network.loss(logits, labels) if own else functional.cross_entropy(logits, labels)
        )
        self.log("val_loss", loss, batch_size=len(labels))

    def _normalised(self, pixels: Tensor) -> Tensor:
        scaled = (pixels - self._mean) / self._std
        return scaled.contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)
