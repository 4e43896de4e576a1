"""Pieces cut out of pictures and pasted where they do not belong, to learn from without labels.

CutPaste and its scars (C.-L. Li et al. 2021, arXiv:2104.04015): a turned rectangle, or a thin one, of the
same or another picture of the batch, somewhat brighter or darker, in another tint. On the device where the
batch lies; randomness is torch's own.

Letters: N items, S side in pixels.
"""

import math

import torch
from torch import Tensor

_UNTOUCHED = 0.25  # part of the pictures that stay as they are
_SCARS = 0.5  # part of the pieces that are thin
_LEAST_AREA, _MOST_AREA = 0.003, 0.08  # of the picture
_JITTER = 0.25  # largest change of brightness, and half of it of each colour
_LEAST_TURN = 0.25  # part of the side that a piece is moved at least


def cut_paste(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Float [N, 3, S, S] in 0–1 → (changed copy, which pixels were pasted bool [N, S, S])."""
    count, _, side, _ = pixels.shape
    inside = _pieces(count, side, pixels.device)
    source = _moved(pixels[torch.randint(count, (count,), device=pixels.device)])
    source = source * (1 + _JITTER * _symmetric((count, 1, 1, 1), pixels))
    source = source + _JITTER / 2 * _symmetric((count, 3, 1, 1), pixels)
    changed = torch.where(inside[:, None], source.clamp(0, 1), pixels)
    return changed, inside


def _pieces(count: int, side: int, device: torch.device) -> Tensor:
    """Bool [N, S, S]: a turned rectangle each, or nothing."""
    draw = torch.rand(8, count, 1, 1, device=device)
    steps = (torch.arange(side, device=device) + 0.5) / side
    x = steps[None, None, :] - (0.1 + 0.8 * draw[0])
    y = steps[None, :, None] - (0.1 + 0.8 * draw[1])
    angle = math.pi * draw[2]
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    area = _LEAST_AREA * (_MOST_AREA / _LEAST_AREA) ** draw[3]
    is_scar = draw[4] < _SCARS
    ratio = torch.where(is_scar, 6 + 14 * draw[5], (2 * draw[5] - 1).exp())
    half_length, half_width = (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2
    half_width = half_width.clamp(min=1.0 / side)
    inside = (along.abs() < half_length.clamp(max=0.4)) & (across.abs() < half_width)
    return inside & (draw[6] >= _UNTOUCHED)


def _moved(pixels: Tensor) -> Tensor:
    """Each picture moved by its own number of pixels, around the edges."""
    count, _, side, _ = pixels.shape
    by = torch.rand(2, count, 1, device=pixels.device)
    by = ((_LEAST_TURN + (1 - 2 * _LEAST_TURN) * by) * side).long()
    places = torch.arange(side, device=pixels.device)
    rows, columns = (places + by[0]) % side, (places + by[1]) % side
    index = torch.arange(count, device=pixels.device)[:, None, None]
    moved = pixels.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _symmetric(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return 2 * torch.rand(shape, device=like.device) - 1
