"""U-Net: an encoder that sees more and more of the picture, and a decoder that brings the edges back.

Ronneberger et al. 2015 (arXiv:1505.04597), with padding, so that the answer has the picture's size, and
batch norm. Maps are enlarged to the size of the encoder's, so any side of at least 2^depth pixels will
do, also an odd one.

Shapes: N pictures, H height and W width in pixels, K classes, C channels at full size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.layers import weights_of


class Unet(nn.Module):
    """Pictures float [N, 3, H, W], normalised → logits float [N, K, H, W]."""

    def __init__(self, classes: int, width: int, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            _two_convolutions(before, after)
            for before, after in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.dropout = nn.Dropout2d(dropout)
        self.enlarge = nn.ModuleList(
            nn.Conv2d(wide, narrow, 3, padding=1)
            for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.decoder = nn.ModuleList(
            _two_convolutions(2 * narrow, narrow) for narrow in widths[-2::-1]
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        hidden, skipped = image, []
        for level, block in enumerate(self.encoder):
            hidden = block(functional.max_pool2d(hidden, 2) if level else hidden)
            skipped.append(hidden)
        hidden = self.dropout(skipped.pop())
        for enlarge, block in zip(self.enlarge, self.decoder, strict=True):
            finer = skipped.pop()
            # Narrowed before it is enlarged: the same sums, at a quarter of the price.
            hidden = functional.interpolate(
                enlarge(hidden), size=finer.shape[-2:], mode="bilinear", align_corners=False
            )
            hidden = block(torch.cat([finer, hidden], dim=1))
        logits: Tensor = self.head(hidden)
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        steps = [part for pair in zip(self.enlarge, self.decoder, strict=True) for part in pair]
        return weights_of(*self.encoder, *steps, self.head)


def _two_convolutions(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [
            nn.Conv2d(channels, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)
