"""What the tasks that look into pictures share as Lightning trains them: pixels, normalisation, optimiser.

Letters: N pictures, S side in pixels.
"""

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from models.blocks import ImagePreprocessing
from training import optimizer
from training.config import RunConfig


class DenseModule(lightning.LightningModule):
    """A subclass says what its loss is."""

    _mean: Tensor
    _std: Tensor

    def __init__(self, network: nn.Module, config: RunConfig, block: ImagePreprocessing) -> None:
        super().__init__()
        # Convolutions on a CPU are quicker so; torch's type information lacks this form of `to`.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self._scale = block.scale
        self.register_buffer("_mean", torch.tensor(block.mean).reshape(1, -1, 1, 1))
        self.register_buffer("_std", torch.tensor(block.std).reshape(1, -1, 1, 1))

    def scaled(self, pixels: Tensor) -> Tensor:
        """Uint8 [N, 3, S, S] → float in 0–1."""
        return pixels.float() * self._scale

    def normalised(self, pixels: Tensor) -> Tensor:
        """Float in 0–1 → what the network takes."""
        image = (pixels - self._mean) / self._std
        return image.contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizer.configure(self.network, self.config.optim, steps)
