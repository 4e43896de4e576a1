"""A small residual encoder that describes a picture cell by cell, and learns without anybody's labels.

It is trained to see which cells show something that was pasted there: CutPaste (C.-L. Li et al. 2021,
arXiv:2104.04015) for every cell instead of the whole picture, so that its features tell what belongs to
a place from what does not. As in PatchCore (K. Roth et al. 2021, arXiv:2106.08265), features of two depths
stand side by side and are averaged over their neighbours.

Shapes: N items, S side in pixels, h = S/4 cells to a side, F features of a cell.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.residual import BasicBlock

CELL_PIXELS = 4


class CellEncoder(nn.Module):
    """Pictures float [N, 3, S, S], normalised → logits [N, h, h] of "this was pasted"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.fine = nn.Sequential(BasicBlock(width, width, 2), BasicBlock(width, 2 * width, 2))
        self.coarse = BasicBlock(2 * width, 4 * width, 2)
        self.features = 6 * width
        self.head = nn.Sequential(
            nn.Conv2d(self.features, 2 * width, 1), nn.ReLU(), nn.Conv2d(2 * width, 1, 1)
        )

    def cells(self, image: Tensor) -> Tensor:
        """[N, F, h, h]."""
        fine = self.fine(self.stem(image))
        coarse = functional.interpolate(
            self.coarse(fine), list(fine.shape[-2:]), mode="bilinear", align_corners=False
        )
        return torch.cat([fine, coarse], dim=1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.cells(image))
        return logits[:, 0]
