"""Loss and optimiser around a decoder, for every kind of work that trains one.

A batch is what is read and what is to be predicted, int64 [B, T] each; places that do not count are
IGNORED. Nothing random depends on what happened before a step, so that a resumed run is the same run.
"""

import json
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training import muon, optimizer
from training.data.byte_tokenizer import END_OF_TEXT_ID
from training.data.windows import IGNORED, Batch
from training.networks.decoder import Decoder
from training.tasks.generation_settings import LanguageConfig


class LanguageModule(lightning.LightningModule):
    """Trains `network` to predict every token from those before it."""

    def __init__(self, network: Decoder, tokenizer: Tokenizer, config: LanguageConfig) -> None:
        super().__init__()
        self.network = network
        self._tokenizer = tokenizer
        self._config = config
        self._place: dict[str, int] | None = None  # of the loader, where a run is resumed

    def get_extra_state(self) -> dict[str, str]:
        """Makes a checkpoint of weights complete: another run can start from it alone."""
        return {
            "decoder": json.dumps(self.network.config.model_dump(mode="json")),
            "tokenizer": self._tokenizer.to_str(),
        }

    def set_extra_state(self, state: dict[str, str]) -> None:
        """The weights belong to the tokenizer that is in use already: a run's data have a checksum."""

    def _loss(self, batch: Batch) -> Tensor:
        """Mean nats per token that counts."""
        ids, targets = batch
        logits = self.network(ids, self._documents(ids)).flatten(0, 1)
        return functional.cross_entropy(logits.float(), targets.flatten(), ignore_index=IGNORED)

    def _documents(self, ids: Tensor) -> Tensor | None:
        """Numbers of the texts in each window; None where all its tokens may see each other, which is
        much quicker. Every text begins with an end-of-text token."""
        begins = ids == END_OF_TEXT_ID
        if not self._config.isolate_documents or not bool(begins[:, 1:].any()):
            return None
        return begins.cumsum(dim=1)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        [self._place] = checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"]

    def on_train_start(self) -> None:
        # Lightning gives a loader its place back only when it is set up after the checkpoint is read;
        # `estimated_stepping_batches` sets it up before.
        if self._place is not None:
            loader: Any = self.trainer.train_dataloader
            loader.load_state_dict(self._place)
            self._place = None

    def on_train_batch_start(self, _: Any, batch_idx: int) -> None:
        if self._config.decoder.dropout:
            place = [self._config.seed, self.current_epoch, batch_idx, self.global_rank]
            torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        self.log("val_loss", self._loss(batch), batch_size=len(batch[0]), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = int(self.trainer.estimated_stepping_batches)
        optim = self._config.optim
        if optim.optimizer != "adamw" or not optim.matrix_learning_rate:
            return optimizer.configure(self.network, optim, steps)
        if any(not weight.requires_grad for weight in self.network.parameters()):
            # Adapters: what they shrink towards is the base. Muon's steps are for whole matrices.
            plain = optim.model_copy(update={"weight_decay": 0.0})
            return optimizer.configure(self.network, plain, steps)
        return muon.configure(self.network, optim, optim.matrix_learning_rate, steps)
