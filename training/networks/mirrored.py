"""Logits averaged over a picture and its mirror image (Krizhevsky et al. 2012, section 4.1, for reflections).

For publishing, not for training: a network that has learned mirrored pictures as well answers both at once,
for twice the work.
"""

import torch
from torch import Tensor, nn


class Mirrored(nn.Module):
    """Pictures float [N, C, S, S] → logits float [N, K], the mean of both sides'."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        both: Tensor = self.network(torch.cat((image, image.flip(3))))
        return both.view(2, -1, both.shape[1]).mean(0)
