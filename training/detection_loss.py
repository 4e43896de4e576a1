"""What a detector learns from: which cells answer for which object, and the loss of FCOS.

Tian et al. 2019 (arXiv:1904.01355): focal loss on the classes (Lin et al. 2017, arXiv:1708.02002),
generalised IoU on the boxes (Rezatofighi et al. 2019, arXiv:1902.09630), cross-entropy on centredness.
A cell answers for the smallest object whose middle it is near to and whose size its level is for.

Letters: N pictures, A cells, K classes, M most objects of a picture.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.boxed_pictures import NO_OBJECT
from training.networks.fcos import Cells, Fcos

_ALPHA, _GAMMA = 0.25, 2.0  # of the focal loss, as published
_RADIUS = 1.5  # strides around an object's middle in which cells answer for it
_REACH = 4.0  # strides from a cell to the farthest side of a box that its level is for


class Truth(NamedTuple):
    """Objects of a batch: boxes float [N, M, 4] in pixels, labels int64 [N, M] (−1: none), crowds bool
    [N, M]."""

    boxes: Tensor
    labels: Tensor
    crowds: Tensor


class Targets(NamedTuple):
    """For each cell: the class int64 [N, A] (−1: background), the distances float [N, A, 4] to its object's
    sides, and whether it lies in a crowd, bool [N, A], where nothing is known of background."""

    labels: Tensor
    distances: Tensor
    unknown: Tensor


def detection_loss(network: Fcos, cells: Cells, truth: Truth) -> Tensor:
    """The sum of the three terms, each per object's cell."""
    targets = assign(network.centres, network.strides, truth)
    positive = targets.labels != NO_OBJECT
    count = positive.sum().clamp(min=1)
    one_hot = functional.one_hot(targets.labels.clamp(min=0), cells.logits.shape[-1]).float()
    wanted = one_hot * positive.unsqueeze(-1)
    known = ~(targets.unknown & ~positive)
    classes = (_focal(cells.logits, wanted) * known.unsqueeze(-1)).sum() / count
    if not bool(positive.any()):
        return classes
    given, expected = cells.distances[positive], targets.distances[positive]
    middle = centredness(expected)
    boxes = ((1 - _giou(given, expected)) * middle).sum() / middle.sum()
    middles = functional.binary_cross_entropy_with_logits(cells.centredness[positive], middle)
    return classes + boxes + middles


def assign(centres: Tensor, strides: Tensor, truth: Truth) -> Targets:
    """Picture by picture: all at once would take N·A·M numbers."""
    rows = [
        _assign_one(centres, strides, boxes, labels, crowds)
        for boxes, labels, crowds in zip(*truth, strict=True)
    ]
    return Targets(*(torch.stack(parts) for parts in zip(*rows, strict=True)))


def centredness(distances: Tensor) -> Tensor:
    """1 in an object's middle, 0 at its edges; distances [P, 4] → [P]."""
    across, down = distances[:, 0::2], distances[:, 1::2]
    return torch.sqrt(
        (across.amin(dim=1) / across.amax(dim=1)) * (down.amin(dim=1) / down.amax(dim=1))
    )


def _assign_one(
    centres: Tensor, strides: Tensor, boxes: Tensor, labels: Tensor, crowds: Tensor
) -> Targets:
    low = centres[:, None] - boxes[None, :, :2]
    high = boxes[None, :, 2:] - centres[:, None]
    distances = torch.cat([low, high], dim=2)  # [A, M, 4]
    inside = distances.amin(dim=2) > 0
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    offset = (centres[:, None] - middle[None]).abs().amax(dim=2)
    reach = distances.amax(dim=2)
    coarsest, finest = strides.max(), strides.min()
    limit = _REACH * strides[:, None]
    fits = ((reach <= limit) | (strides[:, None] == coarsest)) & (
        (reach > limit / 2) | (strides[:, None] == finest)
    )
    is_object = (labels != NO_OBJECT) & ~crowds
    answers = inside & fits & (offset < _RADIUS * strides[:, None]) & is_object
    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    cost, chosen = torch.where(answers, area[None], torch.inf).min(dim=1)
    background = torch.full_like(chosen, NO_OBJECT)
    return Targets(
        torch.where(cost < torch.inf, labels[chosen], background),
        distances[torch.arange(len(centres)), chosen],
        (inside & crowds).any(dim=1),
    )


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy that forgets what is easy; element by element."""
    loss = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    share = torch.sigmoid(logits)
    missed = share + wanted - 2 * share * wanted  # 1 − probability of what is right
    weight = _ALPHA * wanted + (1 - _ALPHA) * (1 - wanted)
    return weight * missed**_GAMMA * loss


def _giou(given: Tensor, expected: Tensor) -> Tensor:
    """Generalised IoU [P] of boxes given as distances [P, 4] from one common point, all positive."""
    shared = _sides(torch.minimum(given, expected)).prod(dim=1)
    hull = _sides(torch.maximum(given, expected)).prod(dim=1)
    union = _sides(given).prod(dim=1) + _sides(expected).prod(dim=1) - shared
    return shared / union - (hull - union) / hull


def _sides(distances: Tensor) -> Tensor:
    """Width and height [P, 2]."""
    return distances[:, :2] + distances[:, 2:]
