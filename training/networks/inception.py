"""GoogLeNet: Inception modules (Szegedy et al. 2014, arXiv:1409.4842), with batch norm (Ioffe, Szegedy 2015).

Each module looks at its map in four ways at once (1×1; 1×1 then 3×3; 1×1 then 5×5; pooling then 1×1) and
joins the answers. The nine modules and their widths are the paper's, in proportion to `width`. Its two
auxiliary classifiers are left out: batch norm does what they were for.

The paper halves five times: twice with strides and once with a pooling in the stem, then before the third
and the eighth module. A smaller picture loses those of the stem first; below 128 pixels the first
convolution is 3×3 instead of 7×7.

Shapes: N items, C channels, S side in pixels, F features, K classes.
"""

import torch
from torch import Tensor, nn

from training.networks.layers import weights_of
from training.networks.reduction import MOST_HALVINGS, strides

# Outputs of the four branches; those of the second and third are (before, after) the larger kernel.
_MODULES = (
    (64, (96, 128), (16, 32), 32),
    (128, (128, 192), (32, 96), 64),
    (192, (96, 208), (16, 48), 64),
    (160, (112, 224), (24, 64), 64),
    (128, (128, 256), (24, 64), 64),
    (112, (144, 288), (32, 64), 64),
    (256, (160, 320), (32, 128), 128),
    (256, (160, 320), (32, 128), 128),
    (384, (192, 384), (48, 128), 128),
)
_POOLED = (2, 7)  # modules that a pooling precedes: 4a and 5a
_LEAST_CHANNELS = 4


class InceptionModule(nn.Module):
    """[N, C, S, S] → [N, sum of the branches, S, S]."""

    def __init__(
        self,
        channels: int,
        one: int,
        three: tuple[int, int],
        five: tuple[int, int],
        pool: int,
    ) -> None:
        super().__init__()
        self.one = _convolution(channels, one, 1)
        self.three = nn.Sequential(
            _convolution(channels, three[0], 1), _convolution(three[0], three[1], 3)
        )
        self.five = nn.Sequential(
            _convolution(channels, five[0], 1), _convolution(five[0], five[1], 5)
        )
        self.pool = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1), _convolution(channels, pool, 1)
        )
        self.channels_out = one + three[1] + five[1] + pool

    def forward(self, image_ncss: Tensor) -> Tensor:
        branches = (self.one, self.three, self.five, self.pool)
        return torch.cat([branch(image_ncss) for branch in branches], dim=1)


class Inception(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self, channels: int, side: int, classes: int, width: float, dropout: float = 0.0
    ) -> None:
        super().__init__()

        def part(count: int) -> int:
            return max(_LEAST_CHANNELS, round(width * count))

        first, *poolings = strides(side, MOST_HALVINGS)
        self.stem = nn.Sequential(
            _convolution(channels, part(64), 7 if first == 2 else 3, first),
            _pooling(poolings[0]),
            _convolution(part(64), part(64), 1),
            _convolution(part(64), part(192), 3),
            _pooling(poolings[1]),
        )
        stages: list[nn.Module] = []
        features, parts = part(192), list[nn.Module]()
        for index, (one, three, five, pool) in enumerate(_MODULES):
            if index in _POOLED:
                stages.append(nn.Sequential(*parts))
                parts = [_pooling(poolings[2 + _POOLED.index(index)])]
            module = InceptionModule(
                features,
                part(one),
                (part(three[0]), part(three[1])),
                (part(five[0]), part(five[1])),
                part(pool),
            )
            parts.append(module)
            features = module.channels_out
        self.stages = nn.ModuleList([*stages, nn.Sequential(*parts)])
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        for stage in self.stages:
            features = stage(features)
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.stem, *self.stages, self.head)


def _convolution(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def _pooling(stride: int) -> nn.Module:
    return nn.MaxPool2d(3, stride=2, padding=1) if stride == 2 else nn.Identity()
