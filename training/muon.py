"""Muon for the hidden matrices of a transformer, AdamW for everything else, as one optimiser.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) steps along the orthogonalised
momentum of a whole matrix. In the few hundred steps that a demonstration can afford it learns far more
than AdamW at a quarter more time per step. Embeddings, the head and the norms stay with AdamW, as its
authors advise. Lightning drives one optimiser with one schedule, hence the joint class.
"""

from collections.abc import Callable
from typing import Any, overload

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from training.config import OptimConfig
from training.optimizer import learning_rate_factor

_MOMENTUM = 0.95
# First and last matrices of networks, by the names that all of them give.
_NOT_HIDDEN = ("embedding.", "source_embedding.", "positions.", "head.")


class MuonAdamW(torch.optim.Optimizer):
    """Presents the parameter groups of both; either may be the only one that moves."""

    def __init__(
        self,
        matrices: list[torch.nn.Parameter],
        others: list[torch.nn.Parameter],
        matrix_learning_rate: float,
        config: OptimConfig,
    ) -> None:
        self._parts = {
            "muon": torch.optim.Muon(
                matrices,
                lr=matrix_learning_rate,
                momentum=_MOMENTUM,
                weight_decay=config.weight_decay,
                adjust_lr_fn="original",
            ),
            "adamw": torch.optim.AdamW(
                others,
                lr=config.learning_rate,
                betas=(config.momentum, config.beta2),
                weight_decay=0.0,
                fused=True,
            ),
        }
        super().__init__([*matrices, *others], {})
        # The very dictionaries of the parts: a scheduler that writes `lr` here reaches them.
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts.values():
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        # Loading replaces the parts' groups by new dictionaries.
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]


def configure(
    network: torch.nn.Module, config: OptimConfig, matrix_learning_rate: float, total_steps: int
) -> OptimizerLRSchedulerConfig:
    """The answer of `configure_optimizers`, with the schedule of `training.optimizer`."""
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, weight in network.named_parameters():
        hidden = weight.ndim == 2 and not name.startswith(_NOT_HIDDEN)
        (matrices if hidden else others).append(weight)
    optimizer = MuonAdamW(matrices, others, matrix_learning_rate, config)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(config, step, total_steps)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
