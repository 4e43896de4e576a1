"""Random changes of a batch of pictures, on the device where it lies. N items, C channels, S side.

Pixels are float [N, C, S, S] in 0–1 before normalisation. Randomness is torch's own, so a seeded run
repeats it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.tasks.image_settings import AugmentConfig


def augment(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """A changed copy of `pixels`. What a shift uncovers is black, before any inversion."""
    changed = _affine(pixels, config)
    changed = changed * (1 - config.contrast * _uniform(pixels))
    if pixels.shape[1] == 1:
        inverted = _uniform(pixels) < config.invert_probability
        return torch.where(inverted, 1 - changed, changed)
    mirrored = _uniform(pixels) < config.flip_probability
    return torch.where(mirrored, changed.flip(-1), changed)


def _affine(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """Shift, rotate and shrink about the centre, with bilinear sampling."""
    count, device = len(pixels), pixels.device
    angle = _symmetric(count, device) * math.radians(config.rotate_degrees)
    size = 1 - (1 - config.smallest) * torch.rand(count, device=device)
    shift_x, shift_y = (2 * config.shift * _symmetric(count, device) for _ in range(2))
    # grid_sample asks where each target pixel comes from: the inverse, hence the division.
    cosine, sine = angle.cos() / size, angle.sin() / size
    rows = (
        torch.stack((cosine, -sine, shift_x), dim=1),
        torch.stack((sine, cosine, shift_y), dim=1),
    )
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, align_corners=False)


def _symmetric(count: int, device: torch.device) -> Tensor:
    return 2 * torch.rand(count, device=device) - 1


def _uniform(pixels: Tensor) -> Tensor:
    return torch.rand(len(pixels), 1, 1, 1, device=pixels.device)
