"""A transformer encoder (Vaswani et al. 2017, arXiv:1706.03762), norms before the blocks (Xiong et al.
2020, arXiv:2002.04745), so that small ones train without care.

Letters: B batch, T tokens, H width, A heads, E width of a head (H/A), F width of the inner layer.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from training.networks.attention import attention
from training.networks.dropout import Dropout
from training.networks.text_encoder import OUT_OF_SIGHT, TokenEncoder

Positions = Literal["sinusoidal", "learned"]


class TransformerEncoder(TokenEncoder):
    """Every token looks at every other one of its text."""

    def __init__(
        self,
        *,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
        inner: int,
        max_tokens: int,
        dropout: float,
        positions: Positions = "sinusoidal",
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not divisible by {heads} heads")
        self.hidden, self.max_tokens = width, max_tokens
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        table = sinusoids(max_tokens, width) * 0.1  # as large as the embeddings
        if positions == "learned":
            self.positions: Tensor = nn.Parameter(torch.randn(max_tokens, width) * 0.02)
        else:
            self.register_buffer("positions", table, persistent=False)
        self.layers = nn.ModuleList(Block(width, heads, inner, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    @override
    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, type_ids: Tensor | None = None
    ) -> Tensor:
        x = self.embedding(input_ids) + self.positions[: input_ids.shape[1]]  # [B, T, H]
        x = self.dropout(x)
        # A finite bias: a row of padding alone looks at all of it instead of dividing by nothing.
        hidden_away = (attention_mask == 0)[:, None, None, :]  # [B, 1, 1, T]
        bias = torch.zeros_like(hidden_away, dtype=x.dtype).masked_fill(hidden_away, OUT_OF_SIGHT)
        for layer in self.layers:
            x = layer(x, bias)
        vectors: Tensor = self.norm(x)
        return vectors

    @override
    def layer_groups(self) -> list[list[nn.Parameter]]:
        first = list(self.embedding.parameters())
        if isinstance(self.positions, nn.Parameter):
            first.append(self.positions)
        inner = [list(layer.parameters()) for layer in self.layers]
        return [first, *inner, list(self.norm.parameters())]


class Block(nn.Module):
    """x [B, T, H] → [B, T, H]: attention, then a layer for each token alone."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.dropout = Dropout(dropout)
        for layer in (self.qkv, self.mix, self.widen, self.narrow):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.dropout(self.mix(self._attend(self.attention_norm(x), bias)))
        inner = functional.gelu(self.widen(self.inner_norm(x)))  # [B, T, F]
        result: Tensor = x + self.dropout(self.narrow(self.dropout(inner)))
        return result

    def _attend(self, x: Tensor, bias: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # [B, T, 3, A, E]
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)  # each [B, A, T, E]
        mixed = attention(queries, keys, values, bias)
        return mixed.transpose(1, 2).flatten(2)


def sinusoids(length: int, width: int) -> Tensor:
    """float32 [length, width]: each pair of columns turns at its own speed (Vaswani et al. 2017)."""
    place = torch.arange(length, dtype=torch.float32).unsqueeze(1)
    speed = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(place * speed)
    table[:, 1::2] = torch.cos(place * speed[: width // 2])
    return table
