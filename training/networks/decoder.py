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
Of imported families: queries and keys normalised per head, Henry et al. 2020 (arXiv:2010.04245);
softcap, post-norms and alternating windows, Gemma 2 (arXiv:2408.00118) and 3 (arXiv:2503.19786); sliding
windows, Mistral 7B (arXiv:2310.06825); parallel parts, GPT-J as taken up by Phi (arXiv:2309.05463).

Does not hold a KV cache: `training.networks.slot_graph` wraps these very weights for serving.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from pydantic import Field, model_validator
from torch import Tensor, nn

from training.config import ConfigRecord
from training.networks.attention import attention
from training.networks.decoder_traits import FAMILIES, DecoderTraits, Rotary
from training.networks.dropout import Dropout


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
        self.require_sizes()
        return self

    def require_sizes(self) -> None:
        """Raises ValueError."""
        if self.width % (16 * self.heads):
            # ONNX Runtime's attention kernel takes head sizes in steps of 16.
            raise ValueError(f"width {self.width} must be a multiple of 16 · heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    @property
    def traits(self) -> DecoderTraits:
        return FAMILIES[self.family]

    @property
    def rotaries(self) -> tuple[Rotary, ...]:
        """The traits' own, or Su et al.'s wavelengths over the whole head."""
        if self.traits.positions != "rotary" or self.traits.rotaries:
            return self.traits.rotaries
        exponents = torch.arange(0, self.head_size, 2, dtype=torch.float32) / self.head_size
        return (Rotary(tuple((self.rope_theta**-exponents).tolist())),)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (first half, second half) of the first R numbers of the last axis, which tables
    [..., R/2] give; what is beyond stays. x [..., E]"""
    size = 2 * cos.shape[-1]
    first, second = x[..., :size].chunk(2, dim=-1)
    turned = (first * cos - second * sin, second * cos + first * sin)
    rest = () if size == x.shape[-1] else (x[..., size:],)
    return torch.cat((*turned, *rest), dim=-1)


Normalise = Callable[[nn.Module, Tensor], Tensor]
"""Applies a norm; the slot graph spells it in its own way."""


def apply(part: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = part(x)
    return result


class Attention(nn.Module):
    """Causal grouped-query attention; queries, keys and values come from one matrix."""

    def __init__(self, config: DecoderConfig, layer: int = 0) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        size, traits = config.head_size, config.traits
        self.sizes = (config.heads * size, config.kv_heads * size, config.kv_heads * size)
        self.qkv = nn.Linear(config.width, sum(self.sizes), bias="qkv" in traits.biases)
        self.out = nn.Linear(config.heads * size, config.width, bias="out" in traits.biases)
        if traits.normalises_heads:
            self.query_norm = nn.RMSNorm(size, eps=config.norm_eps)
            self.key_norm = nn.RMSNorm(size, eps=config.norm_eps)

    def project(self, x: Tensor, normalise: Normalise = apply) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, S, D] → queries, keys and values [B, S, H or K, E], without positions."""
        heads = (-1, self.config.head_size)
        q, k, v = (part.unflatten(-1, heads) for part in self.qkv(x).split(self.sizes, dim=-1))
        if self.config.traits.normalises_heads:
            q, k = normalise(self.query_norm, q), normalise(self.key_norm, k)
        return q, k, v

    def forward(
        self, x: Tensor, angles: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> Tensor:
        """x [B, S, D], angles (cos and sin) [S, R/2] each, mask bool [B, 1, S, S] → [B, S, D]"""
        q, k, v = (part.transpose(1, 2) for part in self.project(x))  # [B, H or K, S, E]
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        mixed = self._mix(q, k, v, mask).transpose(1, 2).flatten(2)
        result: Tensor = self.out(mixed)
        return result

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """[B, H, S, E]"""
        traits = self.config.traits
        if not traits.attention_softcap:
            return attention(q, k, v, mask, is_causal=mask is None, scale=traits.attention_scale)
        k, v = (side.repeat_interleave(q.shape[1] // side.shape[1], dim=1) for side in (k, v))
        scale = traits.attention_scale or self.config.head_size**-0.5
        scores = softcapped(q @ k.transpose(-1, -2) * scale, traits.attention_softcap)
        seen = causal_mask(q.shape[2], 0, q.device) if mask is None else mask
        mixed: Tensor = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1) @ v
        return mixed


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}


class GatedFeedForward(nn.Module):
    """activation(gate) · up, from one matrix, then back to the width."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        biases = "feed_forward" in config.traits.biases
        self.activation = ACTIVATIONS[config.traits.activation]
        self.gate_up = nn.Linear(config.width, 2 * config.hidden, bias=biases)
        self.down = nn.Linear(config.hidden, config.width, bias=biases)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        result: Tensor = self.down(self.activation(gate) * up)
        return result


class FeedForward(nn.Module):
    """activation(up), then back to the width."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        biases = "feed_forward" in config.traits.biases
        self.activation = ACTIVATIONS[config.traits.activation]
        self.up = nn.Linear(config.width, config.hidden, bias=biases)
        self.down = nn.Linear(config.hidden, config.width, bias=biases)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.down(self.activation(self.up(x)))
        return result


def build_norm(config: DecoderConfig) -> nn.RMSNorm | nn.LayerNorm:
    kind = nn.RMSNorm if config.traits.norm == "rms" else nn.LayerNorm
    return kind(config.width, eps=config.norm_eps)


class Block(nn.Module):
    """Attention and feed-forward on normalised copies of the residual stream, arranged as the traits say."""

    def __init__(self, config: DecoderConfig, layer: int = 0) -> None:
        super().__init__()
        self.arrangement = config.traits.arrangement
        self.attention_norm = build_norm(config)
        self.attention = Attention(config, layer)
        self.feed_forward = (GatedFeedForward if config.traits.is_gated else FeedForward)(config)
        if self.arrangement != "parallel":
            self.feed_forward_norm = build_norm(config)
        if self.arrangement == "sandwich":
            self.attention_after_norm = build_norm(config)
            self.feed_forward_after_norm = build_norm(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, attend: Callable[[Attention, Tensor], Tensor], normalise: Normalise = apply
    ) -> Tensor:
        """`attend` runs the attention on [B, S, D]: with or without a cache."""
        ready = normalise(self.attention_norm, x)
        mixed = attend(self.attention, ready)
        if self.arrangement == "parallel":
            both: Tensor = x + self.dropout(mixed) + self.dropout(self.feed_forward(ready))
            return both
        is_sandwich = self.arrangement == "sandwich"
        if is_sandwich:
            mixed = normalise(self.attention_after_norm, mixed)
        x = x + self.dropout(mixed)
        fed: Tensor = self.feed_forward(normalise(self.feed_forward_norm, x))
        if is_sandwich:
            fed = normalise(self.feed_forward_after_norm, fed)
        result: Tensor = x + self.dropout(fed)
        return result


class RotaryTables(nn.Module):
    """cos and sin [C, R/2] of one kind of rotary positions."""

    cos: Tensor
    sin: Tensor

    def __init__(self, rotary: Rotary, context: int) -> None:
        super().__init__()
        cos, sin = rotary.tables(context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)


class Decoder(nn.Module):
    """Token ids → logits of the next token at every position."""

    def __init__(self, config: DecoderConfig, vocabulary: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        is_learned = config.traits.positions == "learned"
        self.positions = nn.Embedding(config.context, config.width) if is_learned else None
        self.rotaries = nn.ModuleList(RotaryTables(one, config.context) for one in config.rotaries)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = build_norm(config)
        self.head = nn.Linear(config.width, vocabulary, bias="head" in config.traits.biases)
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
        texts = None if documents is None else same_document(documents)
        x = self.embed(ids)
        if self.positions is not None:
            x = x + self.positions(_places(ids, documents))
        x = self.dropout(x)

        def attend(attention: Attention, ready: Tensor) -> Tensor:
            window = self.config.traits.window(attention.layer)
            mask = texts
            if 0 < window < length:
                mask = causal_mask(length, window, ids.device)
                mask = mask if texts is None else mask & texts
            result: Tensor = attention(ready, self._angles(attention.layer, length), mask)
            return result

        for block in self.blocks:
            x = block(x, attend)
        return self.logits(self.norm(x))

    def embed(self, ids: Tensor) -> Tensor:
        """Without positions; [B, S] → [B, S, D]"""
        scale = self.config.traits.embedding_scale
        x: Tensor = self.embedding(ids)
        return x if scale == 1 else x * scale

    def logits(self, normalised: Tensor) -> Tensor:
        """[..., D] → [..., V]"""
        return softcapped(self.head(normalised), self.config.traits.logit_softcap)

    def _angles(self, layer: int, length: int) -> tuple[Tensor, Tensor] | None:
        if not len(self.rotaries):
            return None
        tables = self.rotaries[self.config.traits.rotary(layer)]
        assert isinstance(tables, RotaryTables)
        return tables.cos[:length], tables.sin[:length]


def softcapped(x: Tensor, limit: float) -> Tensor:
    """Kept within ±limit, smoothly; 0: no limit."""
    return torch.tanh(x / limit) * limit if limit else x


def causal_mask(length: int, window: int, device: torch.device) -> Tensor:
    """bool [S, S]: the same or an earlier token, at most `window` − 1 before (0: any)."""
    places = torch.arange(length, device=device)
    back = places[:, None] - places
    seen = back >= 0
    return seen & (back < window) if window else seen


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
