"""The image embedder as Lightning trains it. Batches are (uint8 [N, C, S, S], int64 [N]).

Validation is always the contrastive loss: of identities nobody has learned there are no centres.
Letters: N items, C channels, S side in pixels.
"""

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from models.blocks import ImagePreprocessing
from training import optimizer
from training.data.augment import augment
from training.metric_losses import arcface_loss, contrastive_loss
from training.networks.image_embedder import ImageEmbedder
from training.tasks.embedding_settings import ImageEmbeddingConfig


class ImageEmbeddingModule(lightning.LightningModule):
    """Labels of training batches count from 0 to the number of training identities."""

    _mean: Tensor
    _std: Tensor

    def __init__(
        self, network: ImageEmbedder, config: ImageEmbeddingConfig, block: ImagePreprocessing
    ) -> None:
        super().__init__()
        # As for the classifiers: quicker on a CPU; torch's type information lacks this form of `to`.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._config = config
        self._scale = block.scale
        self.register_buffer("_mean", torch.tensor(block.mean).reshape(1, -1, 1, 1))
        self.register_buffer("_std", torch.tensor(block.std).reshape(1, -1, 1, 1))

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        pixels, labels = batch
        config = self._config
        with torch.autocast(pixels.device.type, enabled=False):  # pixels keep their 8 bits
            image = self._normalised(augment(pixels.float() * self._scale, config.augment))
        vectors = self.network(image)
        with torch.autocast(pixels.device.type, enabled=False):
            vectors, centres = vectors.float(), self.network.centres
            if centres is not None:
                loss = arcface_loss(vectors, centres, labels, config.scale, config.margin)
            else:
                loss = contrastive_loss(vectors, labels, config.temperature)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        pixels, labels = batch
        vectors = self.network(self._normalised(pixels.float() * self._scale)).float()
        loss = contrastive_loss(vectors, labels, self._config.temperature)
        self.log("val_loss", loss, batch_size=len(labels))

    def _normalised(self, pixels: Tensor) -> Tensor:
        scaled = (pixels - self._mean) / self._std
        return scaled.contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        return optimizer.configure(self.network, config.optim, steps, config.pretrained)
