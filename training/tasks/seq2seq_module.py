"""Loss and optimiser around an encoder–decoder. Letters as in `training.networks.seq2seq`."""

from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from training import muon, optimizer
from training.averaging import AveragedModule
from training.data.padded_loader import IGNORED
from training.data.token_pairs import PairBatch
from training.networks.seq2seq import Seq2Seq
from training.tasks.text_to_text_settings import TextToTextConfig


class Seq2SeqModule(AveragedModule):
    """Batches are PairBatch. Losses are nats per token of the answer, its end included."""

    network: Seq2Seq

    def __init__(self, network: Seq2Seq, config: TextToTextConfig) -> None:
        super().__init__()
        self._config = config
        self.begin_average(network, config.average_decay)

    def _loss(self, batch: PairBatch, smoothing: float) -> Tensor:
        logits = self.network(batch.source, batch.mask, batch.answer).flatten(0, 1)
        return functional.cross_entropy(
            logits.float(),
            batch.wanted.flatten(),
            ignore_index=IGNORED,
            label_smoothing=smoothing,
        )

    def training_step(self, batch: PairBatch, _: int) -> Tensor:
        loss = self._loss(batch, self._config.label_smoothing)
        self.log("train_loss", loss, batch_size=len(batch.source))
        return loss

    def validation_step(self, batch: PairBatch, _: int) -> None:
        """Without smoothing, so that runs with different ones can be compared."""
        tokens = int((batch.wanted != IGNORED).sum())
        self.log("val_loss", self._loss(batch, 0.0), batch_size=tokens)

    @override
    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        return batch.to(device)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Hidden matrices of our own networks take Muon's steps, everything else AdamW's; a checkpoint,
        or another optimizer, takes all steps alike. Of a GRU on generated sentences, 240 steps:
        0.08 nats a token with Muon, 1.5 with Adam at its best step size."""
        steps = int(self.trainer.estimated_stepping_batches)
        config = self._config
        if config.pretrained.source is not None:
            return optimizer.configure(self.network, config.optim, steps, config.pretrained)
        if config.optim.optimizer == "adamw":
            rate = config.optim.matrix_learning_rate
            return muon.configure(self.network, config.optim, rate, steps)
        return optimizer.configure(self.network, config.optim, steps)
