"""The optimiser and its schedule, as Lightning expects them: one place for every kind of network.

Called from `configure_optimizers` of the LightningModules in `training.tasks`. Decay is applied to
matrices and kernels only: shrinking biases and norms costs accuracy and buys nothing. Step sizes may
differ by layer (J. Howard, S. Ruder 2018, arXiv:1801.06146); freezing is `training.finetuning`'s.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from training.config import OptimConfig, PretrainedConfig
from training.finetuning import layer_groups

Weights = list[torch.nn.Parameter]


def configure(
    network: torch.nn.Module,
    config: OptimConfig,
    total_steps: int,
    pretrained: PretrainedConfig | None = None,
) -> OptimizerLRSchedulerConfig:
    """The answer of `configure_optimizers`; `total_steps` is `trainer.estimated_stepping_batches`.

    Where `pretrained.layer_decay` is below 1, raises UsageError for a network without layer groups.
    """
    groups: list[dict[str, Any]] = []
    for factor, weights in _by_layer(network, pretrained):
        trained = [weight for weight in weights if weight.requires_grad]
        for decay, members in (
            (config.weight_decay, [weight for weight in trained if weight.ndim >= 2]),
            (0.0, [weight for weight in trained if weight.ndim < 2]),
        ):
            if members:
                rate = config.learning_rate * factor
                groups.append({"params": members, "weight_decay": decay, "lr": rate})
    optimizer = _optimizer(groups, config)
    # A plain function of the step keeps no state, so a resumed run may have another length.
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(config, step, total_steps)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _optimizer(groups: list[dict[str, Any]], config: OptimConfig) -> torch.optim.Optimizer:
    rate, betas = config.learning_rate, (config.momentum, config.beta2)
    match config.optimizer:
        case "adamw":
            return clippable(torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True))
        case "adam":
            return clippable(torch.optim.Adam(groups, lr=rate, betas=betas, fused=True))
        case "sgd":
            momentum, nesterov = config.momentum, config.nesterov
            return clippable(
                torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=True)
            )
        case "rmsprop":
            momentum, alpha = config.momentum, config.beta2
            return torch.optim.RMSprop(groups, lr=rate, momentum=momentum, alpha=alpha)


def clippable(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """One pass over the weights instead of ten, and Lightning may clip their gradients all the same.

    A fused optimiser says that it takes gradients still scaled for fp16, which nobody can clip; without
    the word they are unscaled before. On CPUs the fused step of 20 million weights is seven times quicker.
    """
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer


def _by_layer(
    network: torch.nn.Module, pretrained: PretrainedConfig | None
) -> Iterator[tuple[float, Weights]]:
    """(part of the learning rate, weights): the last group takes whole steps, each below less."""
    everything = list(network.parameters())
    if pretrained is None or pretrained.layer_decay == 1:
        yield 1.0, everything
        return
    layers = layer_groups(network)
    for height, weights in enumerate(layers, start=1):
        yield pretrained.layer_decay ** (len(layers) - height), weights


def learning_rate_factor(config: OptimConfig, step: int, total_steps: int) -> float:
    """What the peak learning rate is multiplied by at `step` (0-based) of `total_steps`.

    All schedules rise linearly over the warm-up; then `constant` stays, `cosine` falls to a tenth,
    `one_cycle` falls to nothing, `step` falls at once every `step_fraction` of what remains, and
    `inverse_sqrt` falls with the root of the steps since the beginning (Vaswani et al. 2017), whatever
    the plan's length.
    """
    warmup = round(config.warmup_fraction * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "inverse_sqrt":
        return float((max(1, warmup) / (step + 1)) ** 0.5)
    remaining = max(1, total_steps - warmup)
    if config.schedule == "step":
        # Steps beyond the plan stay at the last level; rounded, or 1/3 of 90 would be 30.000…4.
        every = max(1, round(config.step_fraction * remaining))
        falls = min(step - warmup, remaining - 1) // every
        return float(config.step_gamma**falls)
    floor = 0.1 if config.schedule == "cosine" else 0.0
    progress = min(1.0, (step - warmup) / remaining)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
