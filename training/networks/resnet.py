"""ResNet (He, Zhang, Ren, Sun 2015, arXiv:1512.03385) with 18, 34 or 50 layers, and a quick one with 9.

18 and 34 are made of basic blocks, 50 of bottlenecks; the stride of a bottleneck stands at its 3×3, as
in most later work. At 128 pixels and more the stem is the paper's: 7×7 with stride 2, then pooling. Below
that it is the 3×3 of the paper's CIFAR networks, without pooling, and the first stages keep the side
where halving would leave a last map less than 4 wide.

Nine layers: the shape that won the DAWNBench contest for CIFAR-10 (D. Page 2018, "How to train your
ResNet"): a stem, three convolutions with pooling, residual pairs after the first and the third, a
maximum over positions. Wide and shallow, it learns most in a minute of CPU time.

Shapes: N items, C channels, S side in pixels, F features, K classes.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import weights_of
from training.networks.reduction import MOST_HALVINGS, strides
from training.networks.residual import BasicBlock

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
_EXPANSION = 4  # of a bottleneck
# The last layer's input is a maximum and large: without this the first steps would overshoot.
_LOGIT_SCALE = 0.125


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 around a shortcut: [N, C_in, S, S] → [N, 4·width, S/stride, S/stride]."""

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels_out = width * _EXPANSION
        self.layers = nn.Sequential(
            *_convolution(channels_in, width, 1, 1),
            *_convolution(width, width, 3, stride),
            nn.Conv2d(width, channels_out, 1, bias=False),
        )
        self.norm = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        nn.init.zeros_(self.norm.weight)  # a block begins as the identity, which trains steadier

    def forward(self, image_ncss: Tensor) -> Tensor:
        hidden = self.norm(self.layers(image_ncss))
        return functional.relu(hidden + self.shortcut(image_ncss))


class DeepResNet(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        depth: Literal[18, 34, 50],
        width: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        first, pooled, *stage_strides = (*strides(side, MOST_HALVINGS),)
        kernel = 7 if first == 2 else 3
        stem = [*_convolution(channels, width, kernel, first)]
        if pooled == 2 and first == 2:
            stem.append(nn.MaxPool2d(3, 2, padding=1))
        elif pooled == 2:  # 64 pixels: a stride costs less than a map that is pooled away
            stem = [*_convolution(channels, width, 3, 2)]
        self.stem = nn.Sequential(*stem)
        stages: list[nn.Module] = []
        features = width
        for index, count in enumerate(_BLOCKS[depth]):
            wide, stride = width * 2**index, (1, *stage_strides)[index]
            blocks: list[nn.Module] = []
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(
                    Bottleneck(features, wide, step)
                    if depth == 50
                    else BasicBlock(features, wide, step)
                )
                features = wide * (_EXPANSION if depth == 50 else 1)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))
        _initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        for stage in self.stages:
            features = stage(features)
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.stem, *self.stages, self.head)


class QuickResNet(nn.Module):
    """Nine layers. Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self, channels: int, side: int, classes: int, width: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        pools = _quick_pools(side)
        self.stem = nn.Sequential(*_convolution(channels, width, 3, 1))
        stages: list[nn.Module] = []
        for index, has_pair in enumerate((True, False, True)):
            narrow, wide = width * 2**index, width * 2 ** (index + 1)
            parts = [*_convolution(narrow, wide, 3, 1)]
            if pools[index] > 1:
                parts.append(nn.MaxPool2d(pools[index]))
            if has_pair:
                parts.append(_Pair(wide))
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width * 8, classes, bias=False))
        _initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        features = self.stem(image)
        for stage in self.stages:
            features = stage(features)
        logits: Tensor = self.head(features.amax(dim=(2, 3))) * _LOGIT_SCALE
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.stem, *self.stages, self.head)


class _Pair(nn.Module):
    """Two 3×3 convolutions added to their input: [N, C, S, S] → the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels, 3, 1), *_convolution(channels, channels, 3, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        added: Tensor = features + self.layers(features)
        return added


def resnet(
    channels: int,
    side: int,
    classes: int,
    depth: Literal[9, 18, 34, 50],
    width: int,
    dropout: float = 0.0,
) -> nn.Module:
    """The network of that many layers."""
    if depth == 9:
        return QuickResNet(channels, side, classes, width, dropout)
    return DeepResNet(channels, side, classes, depth, width, dropout)


def _quick_pools(side: int) -> tuple[int, int, int]:
    """Poolings of the three stages: 32 → 2, 2, 2; 8 → 1, 1, 2; 64 → 4, 2, 2."""
    steps = strides(side, MOST_HALVINGS)
    return steps[0] * steps[1] * steps[2], steps[3], steps[4]


def _convolution(channels_in: int, channels_out: int, size: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]


def _initialise(network: nn.Module) -> None:
    """He et al. 2015 (arXiv:1502.01852), by the number of outputs."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
