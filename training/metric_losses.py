"""Losses that place pictures of one identity together. Letters: B rows, D dimensions, K identities.

Supervised contrastive: P. Khosla et al. 2020, arXiv:2004.11362 (their L_out). ArcFace: J. Deng et al. 2018,
arXiv:1801.07698. Vectors have length 1, so products are cosines.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(vectors: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Of all others of the batch, those of the same identity are to be the nearest.

    `vectors` [B, D], `labels` int64 [B]. Rows without a second picture in the batch only repel; 0 where
    no row has one.
    """
    cosines = vectors @ vectors.T / temperature
    is_self = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    is_same = (labels[:, None] == labels[None, :]) & ~is_self
    shares = functional.log_softmax(
        cosines.masked_fill(is_self, torch.finfo(cosines.dtype).min), dim=1
    )
    partners = is_same.sum(dim=1)
    has_partner = partners > 0
    mean_share = shares.masked_fill(~is_same, 0).sum(dim=1) / partners.clamp(min=1)
    return -(mean_share * has_partner).sum() / has_partner.sum().clamp(min=1)


def arcface_loss(
    vectors: Tensor, centres: Tensor, labels: Tensor, scale: float, margin: float
) -> Tensor:
    """Cross-entropy on cosines to all `centres` [K, D], after the angle to one's own grew by `margin`."""
    cosines = vectors @ functional.normalize(centres, dim=1).T
    own = cosines.gather(1, labels[:, None]).clamp(-1 + 1e-7, 1 - 1e-7)
    sines = (1 - own**2).sqrt()
    widened = own * math.cos(margin) - sines * math.sin(margin)
    # Beyond π − margin the cosine would rise again; there a constant penalty keeps the order.
    penalised = own - math.sin(margin) * margin
    harder = torch.where(own > math.cos(math.pi - margin), widened, penalised)
    logits = cosines.scatter(1, labels[:, None], harder) * scale
    return functional.cross_entropy(logits, labels)
