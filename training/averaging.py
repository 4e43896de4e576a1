"""Weights averaged over the run: an exponential mean that validation judges and that is published.

A mean of the last weights lies nearer to the middle of where they wander than any one of them (Polyak
and Juditsky 1992; Vaswani et al. 2017 average checkpoints for the same end). Base of LightningModules
whose network lies in `network`. The mean is a set of buffers, so that it is kept and resumed with the
weights. Its memory grows from nothing: the first weights, which know nothing, are soon forgotten.
"""

from typing import Any

import lightning
import torch
from torch import Tensor, nn


class AveragedModule(lightning.LightningModule):
    """`average_decay` 0: the weights themselves, and no buffers."""

    network: nn.Module
    averaged_steps: Tensor

    def begin_average(self, network: nn.Module, average_decay: float) -> None:
        """Take charge of the network; once, in `__init__`."""
        self.network = network
        self._decay = average_decay
        self._own: list[Tensor] | None = None
        self.register_buffer("averaged_steps", torch.zeros((), dtype=torch.int64))
        self._names = []
        if average_decay:
            for number, weight in enumerate(network.parameters()):
                self._names.append(f"average_{number}")
                self.register_buffer(self._names[-1], weight.detach().clone())

    def on_train_batch_end(self, *_: Any) -> None:
        if not self._decay:
            return
        self.averaged_steps += 1
        steps = int(self.averaged_steps)
        decay = min(self._decay, (1 + steps) / (10 + steps))
        with torch.no_grad():
            torch._foreach_lerp_(self._averages(), list(self.network.parameters()), 1 - decay)

    def on_validation_start(self) -> None:
        """The mean stands in for the weights while they are judged, and while the best are kept."""
        if self._decay and int(self.averaged_steps):
            self._own = [weight.detach().clone() for weight in self.network.parameters()]
            self._load(self._averages())

    def on_validation_end(self) -> None:
        # Callbacks come before their module: the keeper has taken its copy by now.
        if self._own is not None:
            self._load(self._own)
            self._own = None

    def on_train_end(self) -> None:
        if self._decay and int(self.averaged_steps):
            self._load(self._averages())

    def _averages(self) -> list[Tensor]:
        return [self.get_buffer(name) for name in self._names]

    def _load(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for weight, value in zip(self.network.parameters(), values, strict=True):
                weight.copy_(value)
