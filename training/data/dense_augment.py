"""Random changes of a batch of pictures together with what is marked in them, on the device where it lies.

Pictures are moved, enlarged and mirrored, boxes and masks with them; colours change alone. Randomness is
torch's own, so a seeded run repeats it.

Letters: N pictures, S side in pixels, M most boxes of a picture. Places are u = −1 … 1 from edge to edge.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.data.boxed_pictures import NO_OBJECT
from training.data.masked_pictures import IGNORED
from training.tasks.dense_settings import DenseAugmentConfig

_LEAST_VISIBLE = 0.3  # of an object's area; of less, its class can hardly be told


class Move(NamedTuple):
    """u → `factor`·u + `shift`, both float [N, 2] for x and y; a negative factor mirrors."""

    factor: Tensor
    shift: Tensor


def draw_move(count: int, config: DenseAugmentConfig, device: torch.device) -> Move:
    """One for each picture of a batch."""
    zoom = torch.empty(count, 1, device=device).uniform_(config.smallest, config.largest)
    mirrored = torch.rand(count, 1, device=device) < config.flip_probability
    sign = torch.cat([1 - 2 * mirrored.float(), torch.ones_like(zoom)], dim=1)
    shift = 2 * config.shift * (2 * torch.rand(count, 2, device=device) - 1)
    return Move(zoom * sign, shift)


def move_pixels(pixels: Tensor, move: Move) -> Tensor:
    """Pixels float [N, 3, S, S] in 0–1; black where nothing was."""
    return functional.grid_sample(pixels, _grid(pixels, move), align_corners=False)


def move_masks(masks: Tensor, move: Move) -> Tensor:
    """Masks uint8 [N, S, S] → int64; 255 where nothing was."""
    above_nothing = masks.unsqueeze(1).float() + 1  # what lies outside is sampled as 0
    moved = functional.grid_sample(
        above_nothing, _grid(above_nothing, move), mode="nearest", align_corners=False
    )
    numbers = moved.squeeze(1).round().long() - 1
    return torch.where(numbers < 0, IGNORED, numbers)


def move_boxes(boxes: Tensor, labels: Tensor, move: Move, side: int) -> tuple[Tensor, Tensor]:
    """Boxes [N, M, 4] in pixels and labels [N, M]; boxes are cut off at the edges, and those of which
    little is left have the label −1."""
    u = boxes.reshape(*labels.shape, 2, 2) * (2 / side) - 1
    moved = move.factor[:, None, None] * u + move.shift[:, None, None]
    corners = (moved + 1) * (side / 2)
    low, high = corners.amin(dim=2), corners.amax(dim=2)
    whole = (high - low).prod(dim=2)
    low, high = low.clamp(0, side), high.clamp(0, side)
    visible = (high - low).prod(dim=2) > _LEAST_VISIBLE * whole
    return torch.cat([low, high], dim=2), torch.where(visible, labels, NO_OBJECT)


def change_colours(pixels: Tensor, config: DenseAugmentConfig) -> Tensor:
    """Less contrast around the picture's own mean, and channels a little stronger or weaker."""
    count, device = len(pixels), pixels.device
    contrast = 1 - config.contrast * torch.rand(count, 1, 1, 1, device=device)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    gain = 1 + config.colour * (2 * torch.rand(count, 3, 1, 1, device=device) - 1)
    return ((mean + (pixels - mean) * contrast) * gain).clamp(0, 1)


def _grid(pixels: Tensor, move: Move) -> Tensor:
    """Where each target pixel comes from: the inverse of the move."""
    zeros = torch.zeros_like(move.factor[:, 0])
    scale, shift = 1 / move.factor, -move.shift / move.factor
    rows = (
        torch.stack([scale[:, 0], zeros, shift[:, 0]], dim=1),
        torch.stack([zeros, scale[:, 1], shift[:, 1]], dim=1),
    )
    return functional.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
