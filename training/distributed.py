"""One run in several processes, as `torchrun --nproc-per-node N -m slipway train …` starts them.

Every process reads the same data and trains on its own part of every batch; gradients are averaged, so
that all hold the same weights. Process 0 alone writes checkpoints, judges and publishes. What torchrun
tells its processes is read from the environment here and nowhere else.
"""

import os
from dataclasses import dataclass

import torch
from torch import nn

from models.errors import UsageError
from training.errors import TrainingFailed


@dataclass(frozen=True)
class World:
    """`rank` counts all processes, `local_size` those of this machine."""

    rank: int = 0
    size: int = 1
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def part(self) -> tuple[int, int]:
        """Which part of how many this process takes of every batch."""
        return self.rank, self.size


def world() -> World:
    """The processes of this run; one where torchrun did not start it. Raises UsageError."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return World()
    try:
        rank, size, local_size = (
            int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
        )
    except (KeyError, ValueError) as error:
        raise UsageError(f"torchrun set no usable RANK and WORLD_SIZE ({error})") from error
    return World(rank, size, local_size)


def require_equal_weights(module: nn.Module) -> None:
    """Every process must have come out with the same weights. Raises TrainingFailed."""
    if not torch.distributed.is_initialized():
        return
    mine = torch.stack([weight.detach().double().sum() for weight in module.parameters()])
    first = mine.clone()
    torch.distributed.broadcast(first, src=0)
    differs = torch.tensor([not torch.equal(mine, first)], dtype=torch.int32, device=mine.device)
    torch.distributed.all_reduce(differs)
    if differs.item():
        raise TrainingFailed(
            f"{int(differs.item())} of the processes hold other weights than the first; "
            "the gradients were not shared"
        )


def leave() -> None:
    """End the processes' connection, once nothing is shared any more."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
