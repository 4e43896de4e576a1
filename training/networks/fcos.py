"""A one-stage, anchor-free detector: every cell of a few feature maps names its class and its box's sides.

FCOS (Tian et al. 2019, arXiv:1904.01355) on a small residual backbone (He et al. 2015, arXiv:1512.03385)
with a feature pyramid (Lin et al. 2016, arXiv:1612.03144). The head is shared by all levels; group
norm in it, since the levels' statistics differ. Scores are the geometric mean of class probability and
centredness, as in the authors' later version. Boxes that overlap are *not* thinned out here.

Shapes: N pictures, S side in pixels, K classes, W width, F features of the pyramid, A cells of all
levels together.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import weights_of
from training.networks.residual import BasicBlock

FIRST_STRIDE = 8  # pixels of the picture that a cell of the finest level stands for
_PRIOR = 0.01  # probability of any class at the start: nearly every cell is background
_MOST_LOG_SIDE = 6.0  # e^6 strides; larger boxes do not fit into any picture
_GROUPS = 8


class Cells(NamedTuple):
    """What all cells say: class logits [N, A, K], distances in pixels [N, A, 4] from the cell's centre to
    the box's left, top, right and bottom, and centredness logits [N, A]."""

    logits: Tensor
    distances: Tensor
    centredness: Tensor


class Fcos(nn.Module):
    """Pictures float [N, 3, S, S], normalised → boxes float [N, A, 4] in pixels, scores float [N, A, K].

    S may be any number of at least 32; the cells' places are fixed for it.
    """

    centres: Tensor
    strides: Tensor

    def __init__(self, side: int, classes: int, width: int, features: int, levels: int) -> None:
        super().__init__()
        self.side = float(side)
        self.backbone = Backbone(width, levels)
        self.pyramid = Pyramid(self.backbone.widths, features)
        self.head = Head(features, classes)
        self.scales = nn.Parameter(torch.ones(levels))
        centres, strides = _cells(side, levels)
        self.register_buffer("centres", centres)  # [A, 2] x and y in pixels
        self.register_buffer("strides", strides)  # [A]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        cells = self.cells(image)
        scores = torch.sqrt(
            torch.sigmoid(cells.logits) * torch.sigmoid(cells.centredness).unsqueeze(2)
        )
        return self.boxes(cells.distances), scores

    def cells(self, image: Tensor) -> Cells:
        maps = self.pyramid(self.backbone(image))
        logits, sides, centredness = zip(*(self.head(level) for level in maps), strict=True)
        scaled = [side * scale for side, scale in zip(sides, self.scales.unbind(), strict=True)]
        distances = torch.cat([_flat(level) for level in scaled], dim=1).float()
        return Cells(
            torch.cat([_flat(level) for level in logits], dim=1).float(),
            # No side of an object is farther away than the canvas is wide; without the bound, what cells
            # without an object say grows beyond what torch and ONNX Runtime compute alike.
            (torch.exp(distances.clamp(max=_MOST_LOG_SIDE)) * self.strides[:, None]).clamp(
                max=self.side
            ),
            torch.cat([_flat(level) for level in centredness], dim=1).squeeze(2).float(),
        )

    def boxes(self, distances: Tensor) -> Tensor:
        """Distances [N, A, 4] → x_min, y_min, x_max, y_max."""
        low, high = self.centres - distances[..., :2], self.centres + distances[..., 2:]
        return torch.cat([low, high], dim=-1)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        groups = weights_of(self.backbone, self.pyramid, self.head)
        return [*groups[:-1], [*groups[-1], self.scales]]


class Backbone(nn.Module):
    """Pictures → maps at strides 8, 16, …: one for each level, [N, widths[l], S/stride, S/stride]."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.entry = BasicBlock(width, 2 * width, stride=2)
        self.widths = [4 * width, *[8 * width] * (levels - 1)]
        before = [2 * width, *self.widths[:-1]]
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(narrow, wide, stride=2), BasicBlock(wide, wide, stride=1))
            for narrow, wide in zip(before, self.widths, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        hidden = self.entry(self.stem(image))
        maps = []
        for stage in self.stages:
            hidden = stage(hidden)
            maps.append(hidden)
        return maps


class Pyramid(nn.Module):
    """Coarse maps are added to the finer ones: every level [N, F, …] knows the whole picture."""

    def __init__(self, widths: list[int], features: int) -> None:
        super().__init__()
        self.across = nn.ModuleList(nn.Conv2d(width, features, 1) for width in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in widths)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        sides = [across(level) for across, level in zip(self.across, maps, strict=True)]
        merged = [sides[-1]]
        for finer in reversed(sides[:-1]):
            enlarged = functional.interpolate(merged[0], size=finer.shape[-2:], mode="nearest")
            merged.insert(0, finer + enlarged)
        return [smooth(level) for smooth, level in zip(self.smooth, merged, strict=True)]


class Head(nn.Module):
    """A level [N, F, h, w] → class logits [N, K, h, w], log distances [N, 4, h, w], centredness
    [N, 1, h, w]."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.class_tower, self.box_tower = _tower(features), _tower(features)
        self.classes = nn.Conv2d(features, classes, 3, padding=1)
        self.box = nn.Conv2d(features, 4, 3, padding=1)
        self.centredness = nn.Conv2d(features, 1, 3, padding=1)
        # At first every class is as improbable as background makes it, and a box is four strides wide.
        _begin_with(self.classes, -math.log((1 - _PRIOR) / _PRIOR))
        _begin_with(self.box, math.log(2.0))
        _begin_with(self.centredness, 0.0)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        towards_box = self.box_tower(level)
        return (
            self.classes(self.class_tower(level)),
            self.box(towards_box),
            self.centredness(towards_box),
        )


def level_sides(side: int, levels: int) -> list[int]:
    """Cells along a side of each level: each stride-2 convolution rounds up."""
    sides = [-(-side // FIRST_STRIDE)]
    while len(sides) < levels:
        sides.append(-(-sides[-1] // 2))
    return sides


def _begin_with(layer: nn.Conv2d, value: float) -> None:
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.constant_(layer.bias, value)


def _tower(features: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            nn.GroupNorm(_GROUPS, features),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def _cells(side: int, levels: int) -> tuple[Tensor, Tensor]:
    """Centres [A, 2] and strides [A] in pixels, in the order of `_flat`: rows from top to bottom."""
    centres, strides = [], []
    for level, count in enumerate(level_sides(side, levels)):
        stride = FIRST_STRIDE * 2**level
        steps = (torch.arange(count) + 0.5) * stride
        down, across = torch.meshgrid(steps, steps, indexing="ij")
        centres.append(torch.stack([across.flatten(), down.flatten()], dim=1))
        strides.append(torch.full((count * count,), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def _flat(level: Tensor) -> Tensor:
    """[N, C, h, w] → [N, h·w, C]."""
    return level.flatten(2).transpose(1, 2)
