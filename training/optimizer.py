"""AdamW with a warm-up and a decay, as Lightning expects them: one place for every kind of network.

Called from `configure_optimizers` of the LightningModules in `training.tasks`. Decay is applied to
matrices and kernels only: shrinking biases and norms costs accuracy and buys nothing.
"""

import math

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from training.config import OptimConfig


def configure(
    network: torch.nn.Module, config: OptimConfig, total_steps: int
) -> OptimizerLRSchedulerConfig:
    """The answer of `configure_optimizers`; `total_steps` is `trainer.estimated_stepping_batches`."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {
            "params": [weight for weight in trained if weight.ndim >= 2],
            "weight_decay": config.weight_decay,
        },
        {"params": [weight for weight in trained if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, config.beta2))
    # A plain function of the step keeps no state, so a resumed run may have another length.
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(config, step, total_steps)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def learning_rate_factor(config: OptimConfig, step: int, total_steps: int) -> float:
    """What the peak learning rate is multiplied by at `step` (0-based) of `total_steps`.

    All schedules rise linearly over the warm-up; then `constant` stays, `cosine` falls to a tenth,
    `one_cycle` falls to nothing.
    """
    warmup = round(config.warmup_fraction * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    floor = 0.1 if config.schedule == "cosine" else 0.0
    progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
