"""A network that redraws pictures as Lightning trains it: clean pictures are what it is held to.

Batches are one tensor of pictures, uint8 [N, C, S, S]. Letters: N items, C channels, S side in pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.blocks import ImagePreprocessing
from training.networks.redrawing import Redrawer
from training.tasks.dense_module import DenseModule
from training.tasks.reconstruction_settings import ImageReconstructionConfig


class ReconstructionModule(DenseModule):
    """Squared error of normalised values and, with `beta`, the middle's divergence from a normal cloud."""

    network: Redrawer

    def __init__(
        self, network: Redrawer, config: ImageReconstructionConfig, block: ImagePreprocessing
    ) -> None:
        super().__init__(network, config, block)
        self._noise, self._beta, self._seed = config.noise_level, config.beta, config.seed

    def training_step(self, batch: tuple[Tensor], _: int) -> Tensor:
        # From hardly any noise to the most: the server's pictures have all kinds.
        level = torch.rand(len(batch[0]), 1, 1, 1, device=self.device) * self._noise
        loss = self._loss(batch[0], level)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor], index: int) -> None:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._seed + index)  # the same noise every time
            level = torch.full((len(batch[0]), 1, 1, 1), self._noise, device=self.device)
            loss = self._loss(batch[0], level)
        self.log("val_loss", loss, batch_size=len(batch[0]))

    def _loss(self, pixels: Tensor, level: Tensor) -> Tensor:
        clean = self.scaled(pixels)
        noisy = clean + level * torch.randn_like(clean)
        redrawn, mean, log_variance = self.network(self.normalised(noisy))
        loss = functional.mse_loss(redrawn, self.normalised(clean))
        if self._beta:
            divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
            loss = loss + self._beta * divergence.sum(dim=(1, 2, 3)).mean() / clean[0].numel()
        return loss
