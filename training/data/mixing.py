"""Mixup and cutmix: training pictures of two classes at once, with targets that say how much of each.

Called by `training.tasks.image_module` after `training.data.augment`; the loss that takes such targets is
`training.losses`. N pictures, C channels, S side, K classes. Randomness is torch's own.

Mixup: H. Zhang et al. 2017, arXiv:1710.09412. Cutmix: S. Yun et al. 2019, arXiv:1905.04899.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.tasks.image_settings import AugmentConfig


def mix(
    pixels: Tensor, labels: Tensor, classes: int, config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """Pixels float [N, C, S, S] and labels int64 [N] → pixels and targets float [N, K].

    A batch that is not mixed keeps its labels. Every picture has a partner of its own and a share of its
    own, which is drawn from Beta(alpha, alpha).
    """
    wanted = [alpha > 0 for alpha in (config.mixup_alpha, config.cutmix_alpha)]
    if not any(wanted) or _draw() >= config.mix_probability:
        return pixels, labels
    partner = torch.randperm(len(pixels), device=pixels.device)
    pastes = wanted[1] and not (wanted[0] and _draw() < 0.5)
    if pastes:
        mixed, share = _cutmix(pixels, pixels[partner], config.cutmix_alpha)
    else:
        mixed, share = _mixup(pixels, pixels[partner], config.mixup_alpha)
    targets = functional.one_hot(labels, classes).float()
    share = share.reshape(-1, 1)
    return mixed, share * targets + (1 - share) * targets[partner]


def _mixup(pixels: Tensor, others: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Blended pictures, and how much of its own each kept, float [N]."""
    share = _beta(alpha, pixels)
    weight = share.reshape(-1, 1, 1, 1)
    return weight * pixels + (1 - weight) * others, share


def _cutmix(pixels: Tensor, others: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """As `_mixup`, with a rectangle of the picture's shape pasted, cut off where it leaves it."""
    height, width = pixels.shape[-2:]
    extent = (1 - _beta(alpha, pixels)).sqrt()
    rows, columns = (_inside(size, extent) for size in (height, width))
    is_pasted = rows[:, :, None] & columns[:, None, :]  # [N, S, S]
    share = 1 - is_pasted.float().mean(dim=(1, 2))  # of the pixels, not of the draw
    return torch.where(is_pasted[:, None], others, pixels), share


def _inside(size: int, extent: Tensor) -> Tensor:
    """Which of `size` places lie within `extent` [N] (part of them) about a random centre, bool [N, S]."""
    places = torch.arange(size, device=extent.device)
    centre = torch.randint(size, (len(extent),), device=extent.device)
    half = (extent * size / 2).round()
    return (places >= (centre - half)[:, None]) & (places < (centre + half)[:, None])


def _beta(alpha: float, pixels: Tensor) -> Tensor:
    parameter = torch.tensor(alpha, device=pixels.device, dtype=pixels.dtype)
    return torch.distributions.Beta(parameter, parameter).sample((len(pixels),))


def _draw() -> float:
    return float(torch.rand(()))
