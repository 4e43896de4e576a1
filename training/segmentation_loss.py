"""What a segmenter learns from: cross-entropy of every pixel, and the overlap of every class.

The second term is the soft Dice loss (Milletari et al. 2016, arXiv:1606.04797), averaged over the classes
that the batch shows: rare classes count as much as the background.

Letters: N pictures, K classes, H height and W width in pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.data.masked_pictures import IGNORED

_SMOOTH = 1.0  # pixels; keeps the quotient steady for small classes


def segmentation_loss(logits: Tensor, masks: Tensor, dice_weight: float) -> Tensor:
    """Logits float [N, K, H, W], masks int64 [N, H, W] with 255 where nothing is said."""
    logits = logits.float()
    known = masks != IGNORED
    if not bool(known.any()):
        return logits.sum() * 0  # nothing to learn, and no division by nothing
    entropy = functional.cross_entropy(logits, masks, ignore_index=IGNORED)
    return entropy + dice_weight * dice_loss(logits, masks)


def dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """1 − mean over the shown classes of 2·overlap / (claimed + true)."""
    known = masks != IGNORED
    classes = logits.shape[1]
    truth = functional.one_hot(torch.where(known, masks, 0), classes).permute(0, 3, 1, 2)
    truth = truth * known.unsqueeze(1)
    claimed = torch.softmax(logits, dim=1) * known.unsqueeze(1)
    overlap, true = (claimed * truth).sum(dim=(0, 2, 3)), truth.sum(dim=(0, 2, 3))
    dice = (2 * overlap + _SMOOTH) / (claimed.sum(dim=(0, 2, 3)) + true + _SMOOTH)
    return 1 - dice[true > 0].mean()
