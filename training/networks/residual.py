"""A small residual CNN for small pictures (8×8 digits to 64×64 photographs).

Basic blocks of He et al. 2015 (arXiv:1512.03385) with the stem of its CIFAR variant: one 3×3
convolution, no early pooling, because an 8×8 picture has nothing to give away. Each stage halves the
picture and doubles the channels until it is about 4 pixels wide.

Shapes: N items, C channels, S side in pixels, K classes, F features.
"""

from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import weights_of

_LAST_SIDE = 4  # pixels; smaller maps hold more padding than picture
_MOST_STAGES = 4


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut: [N, C_in, S, S] → [N, C_out, S/stride, S/stride]."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.convolution1 = _convolution(channels_in, channels_out, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.convolution2 = _convolution(channels_out, channels_out, 1)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )
        nn.init.zeros_(self.norm2.weight)  # a block begins as the identity, which trains steadier

    def forward(self, image_ncss: Tensor) -> Tensor:
        hidden = functional.relu(self.norm1(self.convolution1(image_ncss)))
        hidden = self.norm2(self.convolution2(hidden))
        return functional.relu(hidden + self.shortcut(image_ncss))


class ResidualClassifier(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]."""

    def __init__(
        self, channels: int, side: int, classes: int, width: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks: list[nn.Module] = []
        features = width
        for stage in range(stages_for(side)):
            wider = width * 2**stage
            blocks.append(BasicBlock(features, wider, stride=1 if stage == 0 else 2))
            features = wider
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(features, classes))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(image))
        return logits

    def features(self, image: Tensor) -> Tensor:
        """What the head decides by, float [N, F]."""
        features_nf: Tensor = self.blocks(self.stem(image)).mean(dim=(2, 3))
        return features_nf

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return weights_of(self.stem, *self.blocks, self.head)


def stages_for(side: int) -> int:
    """Stages for a picture `side` pixels wide: 8 → 2, 16 → 3, 32 and more → 4."""
    stages = 1
    while side > _LAST_SIDE and stages < _MOST_STAGES:
        side, stages = side // 2, stages + 1
    return stages


def _convolution(channels_in: int, channels_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
