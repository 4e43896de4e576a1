"""VGG (Simonyan and Zisserman 2014), with batch norm (Ioffe and Szegedy 2015).

Stages of 3×3 convolutions, each followed by a pooling; channels double up to eight times the first
stage's. The paper's five poolings are for 224 pixels; a smaller picture has the first three or four of them,
so that the last map is about 4 wide, and the fully connected layers see that map.

Shapes: N items, C channels, S side in pixels, K classes.
"""

from typing import Literal

from torch import Tensor, nn

from training.networks.layers import weights_of
from training.networks.reduction import halvings

# Convolutions of each stage: the paper's configurations A, B, D and E.
_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (1, 2, 4, 8, 8)


class Vgg(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        depth: Literal[11, 13, 16, 19],
        width: int,
        hidden: int,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        features = channels
        for index, (count, factor) in enumerate(zip(_STAGES[depth], _WIDTHS, strict=True)):
            parts: list[nn.Module] = []
            for _ in range(count):
                parts += _convolution(features, width * factor)
                features = width * factor
            if index < halvings(side):
                parts.append(nn.MaxPool2d(2))
            stages.append(nn.Sequential(*parts))
        self.stages = nn.ModuleList(stages)
        last = side // 2 ** halvings(side)
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.Linear(units, hidden), nn.ReLU(), nn.Dropout(dropout))
            for units in (features * last * last, hidden)
        )
        self.head = nn.Linear(hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module is not self.head:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        features = image
        for stage in self.stages:
            features = stage(features)
        features = features.flatten(1)
        for layer in self.hidden:
            features = layer(features)
        logits: Tensor = self.head(features)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(*self.stages, *self.hidden, self.head)


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    ]
