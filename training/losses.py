"""Cross-entropy as every classification learns by it: smoothed, weighted, on labels or on mixtures.

Letters: N items, K classes. Targets are labels int64 [N], or float [N, K] whose rows sum to one (what
`training.data.mixing` makes of mixed pictures). Both give the same loss where they say the same.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def classification_loss(
    logits: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None
) -> Tensor:
    """Mean over the items, each counting as much as the weights float [K] of its classes say."""
    if not targets.is_floating_point():
        return functional.cross_entropy(logits, targets, weight=weights, label_smoothing=smoothing)
    log_p = functional.log_softmax(logits.float(), dim=-1)
    smoothed = smooth(targets, logits.shape[-1], smoothing)
    if weights is None:
        return -(smoothed * log_p).sum(dim=-1).mean()
    return -(smoothed * weights * log_p).sum() / (targets * weights).sum()


def distillation_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """How far the student's answers are from the teacher's, both logits [N, K] divided by `temperature` (G.
    Hinton et al. 2015, arXiv:1503.02531): mean KL divergence, in nats, times the temperature's square, so
    that its gradients stay as large as those of a loss on labels."""
    learned = functional.log_softmax(logits.float() / temperature, dim=-1)
    wanted = functional.log_softmax(taught.float() / temperature, dim=-1)
    divergence = functional.kl_div(learned, wanted, reduction="batchmean", log_target=True)
    return divergence * temperature**2


def smooth(targets: Tensor, classes: int, smoothing: float) -> Tensor:
    """`smoothing` of every target shared among all classes (C. Szegedy et al. 2015, arXiv:1512.00567):
    float [N, K]; 0 leaves targets as they are."""
    if not smoothing:
        return targets
    if not targets.is_floating_point():
        targets = functional.one_hot(targets, classes).float()
    return targets * (1 - smoothing) + smoothing / classes


def class_weights(
    labels: NDArray[np.int64], classes: int, mode: Literal["none", "balanced"]
) -> Tensor | None:
    """Weights float32 [K] for the loss, from the training labels int64 [N]; None where all count alike.

    Balanced: N / (K · items of the class), with K the classes that occur, so that the mean weight of the
    items is 1. A class without items weighs 1; nothing is learned of it.
    """
    if mode == "none":
        return None
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    present = counts > 0
    weights = np.ones(classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return torch.from_numpy(weights).float()
