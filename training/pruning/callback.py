"""Pruning as a hook of Lightning's loop: takes weights away at its time, then holds them at zero.

Momentum and weight decay would move a zeroed weight again; so the masks are applied after each step of the
optimiser. They are part of the checkpoint: a resumed run goes on with the same ones.
"""

from typing import Any

import lightning
from torch import nn

from training.pruning.magnitude import Masks, apply, structured_masks, unstructured_masks
from training.pruning.settings import PruningConfig
from training.report import Reporter

_UPDATES = 20  # how often the amount grows, unstructured


class Pruning(lightning.Callback):
    """Prunes the submodule `network`."""

    def __init__(self, config: PruningConfig, report: Reporter) -> None:
        self._config, self._report = config, report
        self._masks: Masks = {}
        self._amount = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self._masks, "amount": self._amount}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._masks, self._amount = state_dict["masks"], state_dict["amount"]

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        network = pl_module.get_submodule("network")
        total = max(1, int(trainer.estimated_stepping_batches))
        self._grow(network, wanted_amount(self._config, trainer.global_step / total))
        apply(self._masks, network)

    def _grow(self, network: nn.Module, wanted: float) -> None:
        is_whole = wanted >= self._config.amount
        least = 0.0 if is_whole else self._config.amount / _UPDATES
        if wanted <= self._amount or wanted - self._amount < least:
            return
        choose = structured_masks if self._config.kind == "structured" else unstructured_masks
        self._masks, self._amount = choose(network, wanted), wanted
        if is_whole:
            what = "channels" if self._config.kind == "structured" else "weights"
            self._report.line(f"pruned: {self._amount:.0%} of the {what}; the others learn on")


def wanted_amount(config: PruningConfig, done: float) -> float:
    """How much is to be gone after the part `done` of all steps: everything at once, or along the cubic of M.
    Zhu and S. Gupta 2017 (arXiv:1710.01878)."""
    if done < config.begin:
        return 0.0
    if config.kind == "structured" or done >= config.end:
        return config.amount
    left = 1 - (done - config.begin) / (config.end - config.begin)
    return config.amount * (1 - left**3)
