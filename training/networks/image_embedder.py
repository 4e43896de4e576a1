"""Any image network whose answers become vectors of length 1: its classes are the vector's numbers.

For ArcFace the network also carries a centre for each identity it learns from. Only the loss looks at
them; the exported graph has none.

Shapes: N items, C channels, S side in pixels, D dimensions, K identities.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.finetuning import layer_groups


class ImageEmbedder(nn.Module):
    """Pictures float [N, C, S, S], normalised → vectors float [N, D] of length 1."""

    centres: nn.Parameter | None

    def __init__(self, body: nn.Module, dimensions: int, identities: int = 0) -> None:
        """`body` answers float [N, dimensions]; `identities` 0: no centres."""
        super().__init__()
        self.body = body
        first = torch.empty(identities, dimensions).normal_(std=dimensions**-0.5)
        self.register_parameter("centres", nn.Parameter(first) if identities else None)

    def forward(self, image: Tensor) -> Tensor:
        return functional.normalize(self.body(image), dim=1)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        groups = layer_groups(self.body)
        extra = [] if self.centres is None else [self.centres]
        return [*groups[:-1], [*groups[-1], *extra]]
