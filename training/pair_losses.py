"""Losses of sentence encoders. Letters: B rows, N candidates, D dimensions.

In-batch negatives: Henderson et al. 2017 (arXiv:1705.00652), van den Oord et al. 2018 (arXiv:1807.03748).
CoSENT: Su 2022 (kexue.fm/archives/8847). Matryoshka: Kusupati et al. 2022 (arXiv:2205.13147).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

# The loss of a batch whose vectors are given: first [B, D], second [N, D].
VectorLoss = Callable[[Tensor, Tensor], Tensor]


def ranking_loss(
    first: Tensor, candidates: Tensor, scale: float, is_same: Tensor | None = None
) -> Tensor:
    """Of all candidates [N, D], N ≥ B, row b of `first` [B, D] must find number b.

    `is_same` bool [B, N]: candidates that are as right as the wanted one and must not count as wrong.
    """
    cosines = functional.normalize(first, dim=1) @ functional.normalize(candidates, dim=1).T
    logits = cosines * scale
    wanted = torch.arange(len(first), device=first.device)
    if is_same is not None:
        others = is_same.clone()
        others[wanted, wanted] = False
        logits = logits.masked_fill(others, torch.finfo(logits.dtype).min)
    return functional.cross_entropy(logits, wanted)


def cosent_loss(first: Tensor, second: Tensor, scores: Tensor, scale: float) -> Tensor:
    """Pairs with higher scores [B] must have higher cosines: the order counts, not the values."""
    cosines = functional.cosine_similarity(first, second) * scale
    gaps = cosines[None, :] - cosines[:, None]  # [i, j]: how much j is above i
    is_wrong_way = scores[:, None] > scores[None, :]
    terms = gaps.masked_fill(~is_wrong_way, torch.finfo(gaps.dtype).min)
    # log(1 + Σ exp): the 1 is a term of 0.
    return torch.logsumexp(torch.cat([terms.new_zeros(1), terms.flatten()]), dim=0)


def cosine_loss(first: Tensor, second: Tensor, scores: Tensor) -> Tensor:
    """Mean squared distance of the cosine from the score [B], which lies in 0…1."""
    return functional.mse_loss(functional.cosine_similarity(first, second), scores)


def at_dimensions(
    loss: VectorLoss, first: Tensor, second: Tensor, dimensions: Sequence[int]
) -> Tensor:
    """Mean of `loss` for the whole vectors and for the first `dimensions` numbers of each alone."""
    sizes = [first.shape[1], *dimensions]
    return torch.stack([loss(first[:, :size], second[:, :size]) for size in sizes]).mean()
