"""A Llama-like decoder transformer: the network that training optimises and exporting starts from.

Shape legend, used in every comment below:
    B batch · S tokens · D width · H query heads · K key/value heads (H is a multiple of K)
    E head size (a multiple of 16) · F hidden width of the feed-forward · V vocabulary · C longest context

Sources: RMSNorm, Zhang & Sennrich 2019 (arXiv:1910.07467); rotary positions, Su et al. 2021
(arXiv:2104.09864), in the half-split layout of Llama; grouped-query attention, Ainslie et al. 2023
(arXiv:2305.13245); SwiGLU, Shazeer 2020 (arXiv:2002.05202); the arrangement, Touvron et al. 2023
(arXiv:2302.13971). No dropout: the runs here see each token a few times at most.

Does not hold a KV cache: `training.networks.slot_graph` wraps these very weights for serving.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.config import ConfigRecord


class DecoderConfig(ConfigRecord):
    """Sizes of a decoder. The letters are those of the module's legend."""

    context: int = Field(default=256, ge=8, description="C: longest prompt and answer, in tokens")
    width: int = Field(default=192, ge=8, description="D: size of the residual stream")
    layers: int = Field(default=4, ge=1, description="transformer blocks")
    heads: int = Field(default=6, ge=1, description="H: query heads; divides the width")
    kv_heads: int = Field(default=2, ge=1, description="K: key/value heads; divides the heads")
    hidden: int = Field(default=512, ge=8, description="F: width of the feed-forward")
    rope_theta: float = Field(default=10_000.0, gt=0, description="base of the rotary wavelengths")
    norm_eps: float = Field(default=1e-5, gt=0, description="keeps RMSNorm away from 1/0")
    tied_head: bool = Field(default=True, description="share the embedding with the output head")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "DecoderConfig":
        if self.width % (16 * self.heads):
            # ONNX Runtime's attention kernel takes head sizes in steps of 16.
            raise ValueError(f"width {self.width} must be a multiple of 16 · heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        return self

    @property
    def head_size(self) -> int:
        return self.width // self.heads


def rotary_tables(config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """cos and sin of every position's angles, float32 [C, E/2] each."""
    exponents = torch.arange(0, config.head_size, 2, dtype=torch.float32) / config.head_size
    angles = torch.outer(torch.arange(config.context).float(), config.rope_theta**-exponents)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (first half, second half) of the last axis; x [..., E], tables [..., E/2]."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    """Causal grouped-query attention; queries, keys and values come from one matrix."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        size = config.head_size
        self.sizes = (config.heads * size, config.kv_heads * size, config.kv_heads * size)
        self.qkv = nn.Linear(config.width, sum(self.sizes), bias=False)
        self.out = nn.Linear(config.heads * size, config.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x [B, S, D], tables [S, E/2] → [B, S, D]"""
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, -1, self.config.head_size).transpose(1, 2)  # [B, H or K, S, E]
            for part in self.qkv(x).split(self.sizes, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(
            rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True, enable_gqa=True
        )
        result: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return result


class FeedForward(nn.Module):
    """SwiGLU: silu(gate) · up, from one matrix, then back to the width."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        result: Tensor = self.down(F.silu(gate) * up)
        return result


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised copy of the residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        result: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return result


class Decoder(nn.Module):
    """Token ids → logits of the next token at every position."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DecoderConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        cos, sin = rotary_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()
        if config.tied_head:
            self.head.weight = self.embedding.weight

    def _initialise(self) -> None:
        """Normal weights of 0.02; what writes to the residual stream starts smaller with depth."""
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue  # the norms stay at one
            writes = name.endswith(("out.weight", "down.weight"))
            std = 0.02 / (2 * self.config.layers) ** 0.5 if writes else 0.02
            nn.init.normal_(parameter, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [B, S ≤ C] → logits [B, S, V]"""
        length = ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        logits: Tensor = self.head(self.norm(x))
        return logits
