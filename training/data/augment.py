"""Random changes of a batch of pictures, on the device where it lies. N items, C channels, S side.

Pixels are float [N, C, S, S] in 0–1 before normalisation. Randomness is torch's own, so a seeded run
repeats it. What mixes pictures with each other is `training.data.mixing`.

Random erasing: Z. Zhong et al. 2017, arXiv:1708.04896.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.tasks.image_settings import AugmentConfig

_ERASE_LEAST = 0.02  # part of the picture, and the sides' ratio from 0.3 to 1/0.3: the paper's
_ERASE_RATIO = math.log(1 / 0.3)
# Rows are luminance and two axes of colour (NTSC's YIQ), columns red, green, blue.
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def augment(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """A changed copy of `pixels`. What a shift uncovers is black, before any inversion."""
    changed = _crop(_affine(pixels, config), config.crop_padding)
    changed = changed * (1 - config.contrast * _uniform(pixels))
    changed = _colour(changed, config)
    if pixels.shape[1] == 1:
        inverted = _uniform(pixels) < config.invert_probability
        changed = torch.where(inverted, 1 - changed, changed)
    else:
        mirrored = _uniform(pixels) < config.flip_probability
        changed = torch.where(mirrored, changed.flip(-1), changed)
    return _erase(changed, config)


def _affine(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """Shift, rotate and shrink about the centre, with bilinear sampling."""
    if not config.shift and not config.rotate_degrees and config.smallest == 1:
        return pixels
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


def _crop(pixels: Tensor, padding: int) -> Tensor:
    """Moved by whole pixels, up to `padding` each way: unlike a shift this keeps every pixel sharp."""
    if not padding:
        return pixels
    count, _, height, width = pixels.shape
    wide = functional.pad(pixels, (padding,) * 4)
    top, left = (torch.randint(2 * padding + 1, (count, 1), device=pixels.device) for _ in range(2))
    rows = top + torch.arange(height, device=pixels.device)  # [N, H]
    columns = left + torch.arange(width, device=pixels.device)
    item = torch.arange(count, device=pixels.device)[:, None, None]
    # Indices apart by a slice put their axes first: [N, H, W, C].
    return wide[item, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _colour(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """Brightness; saturation and hue, which a grey picture has none of."""
    is_colour = pixels.shape[1] == 3
    if not config.brightness and not (is_colour and (config.saturation or config.hue_degrees)):
        return pixels
    count, device = len(pixels), pixels.device
    factor = 1 + config.brightness * _symmetric(count, device)
    changed = pixels * factor.reshape(-1, 1, 1, 1)
    if is_colour and (config.saturation or config.hue_degrees):
        turn = _symmetric(count, device) * math.radians(config.hue_degrees)
        vividness = 1 + config.saturation * _symmetric(count, device)
        changed = torch.einsum("nij,njhw->nihw", _recolour(turn, vividness), changed)
    return changed.clamp(0, 1)


def _recolour(turn: Tensor, vividness: Tensor) -> Tensor:
    """Matrices [N, 3, 3] on red, green, blue that keep luminance and every grey."""
    to_yiq = torch.tensor(_YIQ, device=turn.device)
    cosine, sine = vividness * turn.cos(), vividness * turn.sin()
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    rows = ((one, zero, zero), (zero, cosine, -sine), (zero, sine, cosine))
    turned = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    matrices: Tensor = torch.linalg.inv(to_yiq) @ turned @ to_yiq
    return matrices


def _erase(pixels: Tensor, config: AugmentConfig) -> Tensor:
    """A rectangle of noise, whole inside the picture."""
    if not config.erase_probability:
        return pixels
    count, _, height, width = pixels.shape
    device = pixels.device
    area = _ERASE_LEAST + (config.erase_largest - _ERASE_LEAST) * torch.rand(count, device=device)
    ratio = (_ERASE_RATIO * _symmetric(count, device)).exp()
    is_hit = torch.rand(count, device=device) < config.erase_probability
    rows = _stretch(height, (area * ratio).sqrt())
    columns = _stretch(width, (area / ratio).sqrt())
    is_erased = rows[:, :, None] & columns[:, None, :] & is_hit[:, None, None]
    return torch.where(is_erased[:, None], torch.rand_like(pixels), pixels)


def _stretch(size: int, part: Tensor) -> Tensor:
    """A random run of places, `part` [N] of `size` long and at least one, bool [N, size]."""
    length = (part.clamp(max=1) * size).round().clamp(min=1)
    start = (torch.rand_like(part) * (size - length + 1)).floor()
    places = torch.arange(size, device=part.device)
    return (places >= start[:, None]) & (places < (start + length)[:, None])


def _symmetric(count: int, device: torch.device) -> Tensor:
    return 2 * torch.rand(count, device=device) - 1


def _uniform(pixels: Tensor) -> Tensor:
    return torch.rand(len(pixels), 1, 1, 1, device=pixels.device)
