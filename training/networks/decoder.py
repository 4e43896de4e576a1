"""A decoder transformer, Llama-like or GPT-2-like: what training optimises and exporting starts from.

Shape legend, used in every comment below:
    B batch · S tokens · D width · H query heads · K key/value heads (H is a multiple of K)
    E head size (a multiple of 16) · F hidden width of the feed-forward · V vocabulary · C longest context

Sources: RMSNorm, Zhang & Sennrich 2019 (arXiv:1910.07467); rotary positions, Su et al. 2021
(arXiv:2104.09864), in the half-split layout of Llama; grouped-query attention, Ainslie et al. 2023
(arXiv:2305.13245); SwiGLU, Shazeer 2020 (arXiv:2002.05202); the arrangement, Touvron et al. 2023
(arXiv:2302.13971). GPT-2's: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"
(learned positions, LayerNorm, GELU, biases). Dropout (Srivastava et al. 2014) on the embedding and on
what each part adds to the stream, not on attention weights, for which torch's CPU kernel has none.

Does not hold a KV cache: `training.networks.slot_graph` wraps these very weights for serving.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.config import ConfigRecord


@dataclass(frozen=True)
class Family:
    """What distinguishes one kind of decoder from another; sizes are the configuration's."""

    positions: Literal["rotary", "learned"]
    norm: Literal["rms", "layer"]
    feed_forward: Literal["swiglu", "gelu"]
    biases: bool


FAMILIES = {
    "llama": Family(positions="rotary", norm="rms", feed_forward="swiglu", biases=False),
    "gpt2": Family(positions="learned", norm="layer", feed_forward="gelu", biases=True),
}


class DecoderConfig(ConfigRecord):
    """Sizes of a decoder. The letters are those of the module's legend."""

    family: Literal["llama", "gpt2"] = Field(
        default="llama",
        description="llama: rotary positions, RMSNorm, SwiGLU, no biases; gpt2: learned positions, "
        "LayerNorm, GELU, biases",
    )
    context: int = Field(default=256, ge=8, description="C: longest prompt and answer, in tokens")
    width: int = Field(default=192, ge=8, description="D: size of the residual stream")
    layers: int = Field(default=4, ge=1, description="transformer blocks")
    heads: int = Field(default=6, ge=1, description="H: query heads; divides the width")
    kv_heads: int = Field(default=2, ge=1, description="K: key/value heads; divides the heads")
    hidden: int = Field(default=512, ge=8, description="F: width of the feed-forward")
    rope_theta: float = Field(default=10_000.0, gt=0, description="base of the rotary wavelengths")
    norm_eps: float = Field(default=1e-5, gt=0, description="keeps the norms away from 1/0")
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="part of the stream left out while training; for text that is read many times",
    )
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

    @property
    def traits(self) -> Family:
        return FAMILIES[self.family]


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
        size, biases = config.head_size, config.traits.biases
        self.sizes = (config.heads * size, config.kv_heads * size, config.kv_heads * size)
        self.qkv = nn.Linear(config.width, sum(self.sizes), bias=biases)
        self.out = nn.Linear(config.heads * size, config.width, bias=biases)

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> Tensor:
        """x [B, S, D], angles (cos and sin) [S, E/2] each, mask bool [B, 1, S, S] → [B, S, D]"""
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, -1, self.config.head_size).transpose(1, 2)  # [B, H or K, S, E]
            for part in self.qkv(x).split(self.sizes, dim=-1)
        )
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        result: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, -1))
        return result


class SwiGlu(nn.Module):
    """silu(gate) · up, from one matrix, then back to the width."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        biases = config.traits.biases
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=biases)
        self.down = nn.Linear(config.hidden, config.width, bias=biases)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        result: Tensor = self.down(F.silu(gate) * up)
        return result


class Gelu(nn.Module):
    """gelu(up), in the tanh approximation that GPT-2 was trained with, then back to the width."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        biases = config.traits.biases
        self.up = nn.Linear(config.width, config.hidden, bias=biases)
        self.down = nn.Linear(config.hidden, config.width, bias=biases)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.down(F.gelu(self.up(x), approximate="tanh"))
        return result


def build_norm(config: DecoderConfig) -> nn.RMSNorm | nn.LayerNorm:
    kind = nn.RMSNorm if config.traits.norm == "rms" else nn.LayerNorm
    return kind(config.width, eps=config.norm_eps)


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised copy of the residual stream."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        feed_forward = SwiGlu if config.traits.feed_forward == "swiglu" else Gelu
        self.attention_norm = build_norm(config)
        self.attention = Attention(config)
        self.feed_forward_norm = build_norm(config)
        self.feed_forward = feed_forward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), angles, mask))
        result: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return result


class Decoder(nn.Module):
    """Token ids → logits of the next token at every position."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: DecoderConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        is_learned = config.traits.positions == "learned"
        self.positions = nn.Embedding(config.context, config.width) if is_learned else None
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = build_norm(config)
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
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() >= 2:  # the norms stay at one
                writes = name.endswith(("out.weight", "down.weight"))
                std = 0.02 / (2 * self.config.layers) ** 0.5 if writes else 0.02
                nn.init.normal_(parameter, std=std)

    def forward(self, ids: Tensor, documents: Tensor | None = None) -> Tensor:
        """ids int64 [B, S ≤ C] → logits [B, S, V]

        `documents` int64 [B, S] numbers the text that each token belongs to: tokens then see only
        their own, as if every text stood alone. Learned positions count from each text's start;
        rotary ones are relative anyway.
        """
        length = ids.shape[1]
        mask = None if documents is None else same_document(documents)
        angles = None
        x = self.embedding(ids)
        if self.positions is None:
            angles = self.cos[:length], self.sin[:length]
        else:
            x = x + self.positions(_places(ids, documents))
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, angles, mask)
        logits: Tensor = self.head(self.norm(x))
        return logits


def same_document(documents: Tensor) -> Tensor:
    """[B, S] → bool [B, 1, S, S]: earlier (or the same) token of the same text."""
    same = documents[:, :, None] == documents[:, None, :]
    return same.tril()[:, None]


def _places(ids: Tensor, documents: Tensor | None) -> Tensor:
    """Every token's place in its text, int64 [S] or [B, S]; texts do not return once left."""
    places = torch.arange(ids.shape[1], device=ids.device)
    if documents is None:
        return places
    starts = torch.ones_like(documents, dtype=torch.bool)
    starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return places - (places * starts).cummax(dim=1).values
