"""What anomaly detectors learn before anything is remembered, as Lightning trains it.

Batches are one tensor of good pictures, uint8 [N, 3, S, S]. Letters: N items, S side in pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from models.blocks import ImagePreprocessing
from training.data.cut_paste import cut_paste
from training.networks.autoencoder import Autoencoder
from training.networks.cell_encoder import CellEncoder
from training.tasks.anomaly_settings import AnomalyConfig
from training.tasks.dense_module import DenseModule

_SHARE_OF_A_CELL = 0.25  # that must be pasted before the cell counts as such
_PASTED_WEIGHT = 4.0  # few cells are pasted


class AnomalyModule(DenseModule):
    """A cell encoder learns to see what was pasted; an autoencoder to redraw the picture without it."""

    def __init__(
        self,
        network: CellEncoder | Autoencoder,
        config: AnomalyConfig,
        block: ImagePreprocessing,
    ) -> None:
        super().__init__(network, config, block)
        self._seed = config.seed

    def training_step(self, batch: tuple[Tensor], _: int) -> Tensor:
        loss = self._loss(batch[0])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor], index: int) -> None:
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._seed + index)  # the same pieces are pasted every time
            loss = self._loss(batch[0])
        self.log("val_loss", loss, batch_size=len(batch[0]))

    def _loss(self, pixels: Tensor) -> Tensor:
        scaled = self.scaled(pixels)
        if isinstance(self.network, Autoencoder):
            # It must not redraw what does not belong: V. Zavrtanik et al. 2021, arXiv:2108.07610.
            redrawn = self.network(self.normalised(cut_paste(scaled)[0]))
            return functional.mse_loss(redrawn, self.normalised(scaled))
        changed, pasted = cut_paste(scaled)
        logits = self.network(self.normalised(changed))
        share = functional.adaptive_avg_pool2d(pasted[:, None].float(), logits.shape[-2:])
        weight = torch.tensor(_PASTED_WEIGHT, device=logits.device)
        return functional.binary_cross_entropy_with_logits(
            logits, (share[:, 0] >= _SHARE_OF_A_CELL).float(), pos_weight=weight
        )
