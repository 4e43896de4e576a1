"""A diffusion model as Lightning trains it: pictures are blurred by noise, the network tells it from them.

Batches are (uint8 [N, C, S, S], int64 [N]). Letters: N items, C channels, S side in pixels, K classes. The
paths from noise to picture are those of `models.transforms.diffusion`, which the service walks back.
"""

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional

from models.transforms.diffusion import LARGEST_ANGLE
from training import optimizer
from training.averaging import AveragedModule
from training.networks.conditional_unet import ConditionalUnet
from training.tasks.drawing_settings import ImageDiffusionConfig


class DiffusionModule(AveragedModule):
    """Mean squared error of the velocity (flow) or the noise (ddpm)."""

    network: ConditionalUnet

    def __init__(self, network: ConditionalUnet, config: ImageDiffusionConfig) -> None:
        super().__init__()
        self.begin_average(network, config.average_decay)
        self._config = config

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        pixels, labels = batch
        is_withheld = torch.rand(len(labels), device=self.device) < self._config.class_dropout
        told = labels.masked_fill(is_withheld, self.network.shape.classes)
        loss = self._loss(pixels, told)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._config.seed + index)  # the same noise every time
            loss = self._loss(*batch)
        self.log("val_loss", loss, batch_size=len(batch[1]))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizer.configure(self.network, self._config.optim, steps)

    def _loss(self, pixels: Tensor, labels: Tensor) -> Tensor:
        picture = pixels.float() / 127.5 - 1
        noise = torch.randn_like(picture)
        # One time from every N-th of the whole: by chance alone, batches would differ more.
        count = len(labels)
        places = torch.arange(count, device=picture.device)
        t = (places + torch.rand(count, device=picture.device)) / count
        if self._config.formulation == "flow":
            a, s, wanted = 1 - t, t, noise - picture
        else:
            a, s, wanted = (LARGEST_ANGLE * t).cos(), (LARGEST_ANGLE * t).sin(), noise
        a, s = a[:, None, None, None], s[:, None, None, None]
        return functional.mse_loss(self.network(a * picture + s * noise, t, labels), wanted)
