"""Vision Transformer (Dosovitskiy et al. 2020, arXiv:2010.11929).

The picture is cut into patches, each becomes a vector, a class token goes first, learned positions are
added, and pre-norm transformer blocks follow; the class token's last vector makes the answer. The
paper's patches are 16 pixels wide for 224. By default a row has 8 patches here, whatever the side: 4
pixels at 32, 8 at 64.
A side that is no multiple of the patch is padded with zeros on the right and below.

Shapes: N items, C channels, S side in pixels, P patches in a row, T = P·P + 1 tokens, H width, A heads,
D = H / A, K classes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.attention import attention
from training.networks.dropout import Dropout
from training.networks.layers import weights_of

_PATCHES_IN_A_ROW = 8
_HIDDEN_FACTOR = 4  # of the MLP in each block
_STD = 0.02  # of the first weights, as in the paper's code


class Block(nn.Module):
    """Attention and MLP, each around a shortcut: [N, T, H] → [N, T, H]."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, _HIDDEN_FACTOR * width),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(_HIDDEN_FACTOR * width, width),
        )
        self.dropout = Dropout(dropout)

    def forward(self, tokens_nth: Tensor) -> Tensor:
        tokens_nth = tokens_nth + self.dropout(self._attend(self.norm1(tokens_nth)))
        changed: Tensor = tokens_nth + self.dropout(self.mlp(self.norm2(tokens_nth)))
        return changed

    def _attend(self, tokens_nth: Tensor) -> Tensor:
        count, width = tokens_nth.shape[1:]
        joint = self.query_key_value(tokens_nth)
        joint = joint.reshape(-1, count, 3, self.heads, width // self.heads)
        query, key, value = joint.permute(2, 0, 3, 1, 4).unbind(0)  # each [N, A, T, D]
        mixed = attention(query, key, value)
        projected: Tensor = self.project(mixed.transpose(1, 2).reshape(-1, count, width))
        return projected


class VisionTransformer(nn.Module):
    """Pictures float [N, C, S, S], normalised → logits float [N, K]. `width` is a multiple of `heads`."""

    def __init__(
        self,
        channels: int,
        side: int,
        classes: int,
        patch: int,
        width: int,
        layers: int,
        heads: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        patch = min(patch or -(-side // _PATCHES_IN_A_ROW), side)
        row = -(-side // patch)
        self._padding = row * patch - side
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, row * row + 1, width) * _STD)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_STD)
                nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        padded = functional.pad(image, (0, self._padding, 0, self._padding))
        patches_nth = self.patches(padded).flatten(2).transpose(1, 2)
        # Not len(): to the exporter that is a number, and the batch axis would be fixed.
        first = self.class_token.expand(patches_nth.shape[0], -1, -1)
        tokens_nth = self.dropout(torch.cat((first, patches_nth), dim=1) + self.positions)
        for block in self.blocks:
            tokens_nth = block(tokens_nth)
        logits: Tensor = self.head(self.norm(tokens_nth[:, 0]))
        return logits

    def layer_groups(self) -> list[list[nn.Parameter]]:
        before = [self.class_token, self.positions, *self.patches.parameters()]
        after = [*self.norm.parameters(), *self.head.parameters()]
        return [before, *weights_of(*self.blocks), after]
