"""CapsNet: capsules with dynamic routing (Sabour, Frosst, Hinton 2017, arXiv:1710.09829).

A capsule is a vector whose length says how likely its thing is there and whose direction says how it looks.
Every primary capsule foretells every class capsule through a matrix of its own; routing sends it to where the
foretellings agree. A class capsule's length is |v| = |s|² / (1 + |s|²), so its log-odds are ln |s|²: these
are the logits, and sigmoid(logit) is the paper's length. The loss is the paper's margin loss on the
lengths, plus redrawing the picture from the capsule of the right class.

The paper's 9×9 kernels are for 28 pixels. Below 24 they are 5×5, below 16 3×3; from 64 pixels on the first
convolution strides, because the matrices grow with the area of the map, and what is redrawn is the
picture at 32 pixels.

Shapes: N items, C channels, S side in pixels, P primary capsules, E = 8 numbers in each, K classes, D numbers
in a class capsule.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import weights_of

_PRIMARY = 8  # E
_PAPERS_SIDE = 32
_PRESENT, _ABSENT, _ABSENT_WEIGHT = 0.9, 0.1, 0.5  # the paper's m⁺, m⁻ and λ
_DRAWING = (512, 1024)  # units of the paper's decoder
_LEAST = 1e-7  # under a root or a logarithm


class CapsNet(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]. S ≥ 8."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        width: int,
        maps: int,
        capsule: int,
        routing: int,
        reconstruction: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        kernel = 9 if side >= 24 else 5 if side >= 16 else 3
        stride = max(1, side // _PAPERS_SIDE)
        self.routing, self.reconstruction = routing, reconstruction
        self._drawn_side = min(side, _PAPERS_SIDE)
        self.convolution = nn.Conv2d(channels, width, kernel, stride)
        self.primary = nn.Conv2d(width, maps * _PRIMARY, kernel, 2)
        self.dropout = nn.Dropout(dropout)
        last = ((side - kernel) // stride + 1 - kernel) // 2 + 1
        primaries = maps * last * last
        self.foretelling = nn.Parameter(
            torch.randn(primaries, classes, capsule, _PRIMARY) / math.sqrt(_PRIMARY)
        )
        self.decoder = nn.Sequential(
            nn.Linear(classes * capsule, _DRAWING[0]),
            nn.ReLU(),
            nn.Linear(_DRAWING[0], _DRAWING[1]),
            nn.ReLU(),
            nn.Linear(_DRAWING[1], channels * self._drawn_side**2),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self._logits(self._route(self._primaries(image)))

    def training_loss(self, image: Tensor, labels: Tensor) -> Tensor:
        """Margin loss, and redrawing the picture from the capsules of its classes."""
        sums_nkd = self._route(self._primaries(image))
        logits = self._logits(sums_nkd)
        shown = squash(sums_nkd) * _shares(labels, logits).unsqueeze(-1)
        smaller = functional.adaptive_avg_pool2d(image, self._drawn_side)
        drawn = self.decoder(shown.flatten(1)).reshape(smaller.shape)
        redrawing = functional.mse_loss(drawn, smaller)
        return self.loss(logits, labels) + self.reconstruction * redrawing

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The paper's margin loss; label smoothing would contradict its margins and is not applied."""
        length, shares = torch.sigmoid(logits.float()), _shares(labels, logits)
        present = functional.relu(_PRESENT - length).square()
        absent = functional.relu(length - _ABSENT).square()
        return (shares * present + _ABSENT_WEIGHT * (1 - shares) * absent).sum(dim=1).mean()

    def layer_groups(self) -> list[list[nn.Parameter]]:
        before = weights_of(self.convolution, self.primary)
        return [*before, [self.foretelling, *self.decoder.parameters()]]

    def _primaries(self, image: Tensor) -> Tensor:
        """Pictures → primary capsules [N, P, E]."""
        maps = self.primary(self.dropout(functional.relu(self.convolution(image))))
        # [N, maps·E, …] → [N, maps, E, positions] → [N, maps, positions, E] → [N, P, E]
        apart = maps.unflatten(1, (-1, _PRIMARY)).flatten(3).transpose(2, 3)
        return squash(apart.flatten(1, 2))

    def _route(self, primaries_npe: Tensor) -> Tensor:
        """Primary capsules → the sums s of the class capsules, [N, K, D]."""
        foretold_npkd = torch.einsum("pkde,npe->npkd", self.foretelling, primaries_npe)
        agreement_npk = torch.zeros_like(foretold_npkd[..., 0])
        # Only the last round is learned through: the others merely choose its weights.
        for _ in range(self.routing - 1):
            sums_nkd = _weighted(foretold_npkd.detach(), agreement_npk)
            agreement_npk = agreement_npk + torch.einsum(
                "npkd,nkd->npk", foretold_npkd.detach(), squash(sums_nkd)
            )
        return _weighted(foretold_npkd, agreement_npk)

    @staticmethod
    def _logits(sums_nkd: Tensor) -> Tensor:
        return torch.log(sums_nkd.square().sum(dim=-1) + _LEAST)


def _shares(labels: Tensor, logits: Tensor) -> Tensor:
    """How much of each class is to be seen, float [N, K]."""
    if labels.is_floating_point():
        return labels
    return functional.one_hot(labels, logits.shape[1]).to(logits.dtype)


def squash(vectors: Tensor) -> Tensor:
    """Vectors along the last axis keep their direction; a length s becomes s² / (1 + s²)."""
    squared = vectors.square().sum(dim=-1, keepdim=True)
    return vectors * torch.sqrt(squared + _LEAST) / (1 + squared)


def _weighted(foretold_npkd: Tensor, agreement_npk: Tensor) -> Tensor:
    weights_npk = torch.softmax(agreement_npk, dim=2)
    return torch.einsum("npk,npkd->nkd", weights_npk, foretold_npkd)
