"""Generator and critic of a generative adversarial network for small pictures.

The plan is DCGAN's (A. Radford et al. 2015, arXiv:1511.06434): convolutions alone, a picture that doubles
in the one and halves in the other. Group norm instead of batch norm, told the noise and the class in every
block, so that a picture depends on no other of its batch and averaged weights need no running figures. The
critic may be held to spectral norm (T. Miyato et al. 2018, arXiv:1802.05957) and is told the class by
projection (T. Miyato, M. Koyama 2018, arXiv:1802.05637).

Shapes: N items, C channels, S side in pixels (a multiple of 2^depth), L latent numbers, K classes.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from training.networks.conditional_unet import ConditionedBlock, group_norm

_SLOPE = 0.2  # of leaky ReLU, as in DCGAN


@dataclass(frozen=True)
class GanShape:
    """`classes` 0: neither is told a class."""

    channels: int
    side: int
    classes: int
    latent: int
    width: int
    depth: int

    @property
    def widths(self) -> list[int]:
        """Channels from the smallest map to the picture's full size."""
        return [self.width * 2**level for level in range(self.depth, -1, -1)]


class Generator(nn.Module):
    """Noise float [N, L], label int64 [N] where there are classes → picture float [N, C, S, S] in 0–1."""

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        self.shape = shape
        features = 4 * shape.width
        self.least = shape.side // 2**shape.depth
        self.noise = nn.Linear(shape.latent, features)
        self.label = nn.Embedding(max(1, shape.classes), features)
        self.first = nn.Linear(shape.latent, shape.widths[0] * self.least**2)
        self.blocks = nn.ModuleList(
            ConditionedBlock(before, after, features)
            for before, after in pairwise([shape.widths[0], *shape.widths])
        )
        self.norm = group_norm(shape.width)
        self.head = nn.Conv2d(shape.width, shape.channels, 3, padding=1)

    def forward(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        condition = self.noise(noise)
        if label is not None:
            condition = condition + self.label(label)
        condition_nf = functional.silu(condition)
        hidden = self.first(noise).unflatten(1, (self.shape.widths[0], self.least, self.least))
        for level, block in enumerate(self.blocks):
            if level:
                hidden = functional.interpolate(hidden, scale_factor=2.0, mode="nearest")
            hidden = block(hidden, condition_nf)
        picture: Tensor = torch.sigmoid(self.head(functional.silu(self.norm(hidden))))
        return picture


class Critic(nn.Module):
    """Picture float [N, C, S, S] in 0–1, label int64 [N] → how real it looks, float [N], without bounds."""

    def __init__(self, shape: GanShape, *, has_spectral_norm: bool) -> None:
        super().__init__()
        held = spectral_norm if has_spectral_norm else _as_it_is
        widths = shape.widths[::-1]
        layers: list[nn.Module] = [held(nn.Conv2d(shape.channels, shape.width, 3, padding=1))]
        for before, after in pairwise(widths):
            layers += [nn.LeakyReLU(_SLOPE), held(nn.Conv2d(before, after, 3, padding=1))]
            layers += [nn.LeakyReLU(_SLOPE), held(nn.Conv2d(after, after, 4, 2, padding=1))]
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(_SLOPE))
        self.head = held(nn.Linear(widths[-1], 1))
        self.label = held(nn.Embedding(max(1, shape.classes), widths[-1]))
        self.is_told = shape.classes > 0

    def forward(self, picture: Tensor, label: Tensor) -> Tensor:
        features_nf = self.layers(2 * picture - 1).sum(dim=(2, 3))
        score = self.head(features_nf)[:, 0]
        if self.is_told:
            score = score + (self.label(label) * features_nf).sum(dim=1)
        answer: Tensor = score
        return answer


def _as_it_is(layer: nn.Module) -> nn.Module:
    return layer
