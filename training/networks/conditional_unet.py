"""A small U-Net that is told the time and the class: the network of diffusion models.

Residual blocks with group norm, whose scale and shift the condition gives (P. Dhariwal, A. Nichol 2021,
arXiv:2105.05233, "adaptive group normalization"); group norm, so that a picture's answer depends on no
other picture of its batch. The class may be withheld, which guidance needs (J. Ho, T. Salimans 2022,
arXiv:2207.12598): one more row of the embedding stands for "not told".

Shapes: N items, C channels, S side in pixels (a multiple of 2^depth), K classes, E features of the condition.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_MOST_GROUPS = 8
_FREQUENCIES = 16
_HIGHEST_FREQUENCY = 256.0  # waves over the time from 0 to 1


@dataclass(frozen=True)
class UnetShape:
    channels: int
    side: int
    classes: int
    width: int
    depth: int


class ConditionalUnet(nn.Module):
    """x float [N, C, S, S], t float [N] in 0–1, label int64 [N] (K: not told) → float [N, C, S, S]."""

    def __init__(self, shape: UnetShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        features = 4 * shape.width
        self.label = nn.Embedding(shape.classes + 1, features)
        self.time = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, features), nn.SiLU(), nn.Linear(features, features)
        )
        widths = [shape.width * 2**level for level in range(shape.depth + 1)]
        self.stem = nn.Conv2d(shape.channels, shape.width, 3, padding=1)
        self.down = nn.ModuleList(
            ConditionedBlock(before, after, features, dropout)
            for before, after in zip([shape.width, *widths[:-1]], widths, strict=True)
        )
        self.middle = ConditionedBlock(widths[-1], widths[-1], features, dropout)
        self.up = nn.ModuleList(
            ConditionedBlock(below + beside, beside, features, dropout)
            for below, beside in zip([widths[-1], *widths[:0:-1]], widths[::-1], strict=True)
        )
        self.norm = group_norm(shape.width)
        self.head = nn.Conv2d(shape.width, shape.channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        condition_ne = functional.silu(self.time(_waves(t)) + self.label(label))
        hidden, beside = self.stem(x), []
        for level, block in enumerate(self.down):
            hidden = block(functional.avg_pool2d(hidden, 2) if level else hidden, condition_ne)
            beside.append(hidden)
        hidden = self.middle(hidden, condition_ne)
        for level, block in enumerate(self.up):
            if level:
                hidden = functional.interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = block(torch.cat([hidden, beside.pop()], dim=1), condition_ne)
        answer: Tensor = self.head(functional.silu(self.norm(hidden)))
        return answer


class ConditionedBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut: [N, C_in, S, S] and [N, E] → [N, C_out, S, S]."""

    def __init__(
        self, channels_in: int, channels_out: int, features: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1 = group_norm(channels_in)
        self.convolution1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.condition = nn.Linear(features, 2 * channels_out)
        self.norm2 = group_norm(channels_out)
        self.dropout = nn.Dropout(dropout)
        self.convolution2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        nn.init.zeros_(self.convolution2.weight)  # a block begins as its shortcut
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels_out:
            self.shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, condition_ne: Tensor) -> Tensor:
        hidden = self.convolution1(functional.silu(self.norm1(x)))
        scale, shift = self.condition(condition_ne)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norm2(hidden) * (1 + scale) + shift
        answer: Tensor = self.convolution2(self.dropout(functional.silu(hidden))) + self.shortcut(x)
        return answer


class GuidedStep(nn.Module):
    """One denoising step as it is exported; `guidance` float [N].

    The class told and withheld are asked in one run of twice as many items, and the difference between
    both answers is followed `guidance` times.
    """

    def __init__(self, network: ConditionalUnet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, t: Tensor, label: Tensor, guidance: Tensor) -> Tensor:
        withheld = torch.full_like(label, self.network.shape.classes)
        answers = self.network(
            torch.cat([x, x]), torch.cat([t, t]), torch.cat([label, withheld])
        ).unflatten(0, (2, -1))
        told, untold = answers[0], answers[1]
        answer: Tensor = untold + guidance[:, None, None, None] * (told - untold)
        return answer


def group_norm(channels: int) -> nn.GroupNorm:
    """As many groups as divide the channels, at most eight."""
    return nn.GroupNorm(math.gcd(channels, _MOST_GROUPS), channels)


def _waves(t: Tensor) -> Tensor:
    """Float [N] → float [N, 2·16]: sine and cosine at frequencies from 1 to 256."""
    powers = torch.linspace(0, math.log(_HIGHEST_FREQUENCY), _FREQUENCIES, device=t.device)
    angles = t[:, None] * torch.exp(powers) * math.pi
    return torch.cat([angles.sin(), angles.cos()], dim=1)
