"""An encoder–decoder Transformer in T5's arrangement, with the parts of today's decoders.

Shape legend as in `training.networks.seq2seq`, and: F hidden width of the feed-forward.

Sources: the encoder–decoder and its dropout, Vaswani et al. 2017 (arXiv:1706.03762); norm before every
block without a bias, shared embeddings and no positions in cross-attention, Raffel et al. 2020
(arXiv:1910.10683); RMSNorm, Zhang & Sennrich 2019 (arXiv:1910.07467); SwiGLU, Shazeer 2020
(arXiv:2002.05202). Where T5 learns a bias by relative position, both self-attentions here rotate queries
and keys (Su et al. 2021, arXiv:2104.09864): the kernel that serves them does that by itself. One
embedding in three places: Press & Wolf 2017 (arXiv:1608.05859).

Dropout falls on embeddings, on what each block adds and inside the feed-forward. Attention weights are
not dropped: torch's fused kernel on the CPU has no such thing.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from typing_extensions import override

from training.networks.attention import attention
from training.networks.decoder import rotate
from training.networks.dropout import Dropout
from training.networks.seq2seq import Seq2Seq, SlotSizes
from training.networks.seq2seq_settings import TransformerSeq2SeqConfig

Config = TransformerSeq2SeqConfig


class SelfAttention(nn.Module):
    """Queries, keys and values come from one matrix, rotated by their positions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        size = config.head_size
        self.sizes = (config.heads * size, config.kv_heads * size, config.kv_heads * size)
        self.qkv = nn.Linear(config.width, sum(self.sizes), bias=False)
        self.out = nn.Linear(config.heads * size, config.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, T, D], tables [T, E/2]; mask bool [B, 1, 1, T], none: causal → [B, T, D]"""
        q, k, v = (
            _heads(part, self.config.head_size)  # [B, H or K, T, E]
            for part in self.qkv(x).split(self.sizes, dim=-1)
        )
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        mixed = attention(q, k, v, mask, is_causal=mask is None)
        result: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result


class CrossAttention(nn.Module):
    """The answer looks at the source; no positions. The encoder's side is projected once a source."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        size = config.head_size
        self.query = nn.Linear(config.width, config.heads * size, bias=False)
        self.key = nn.Linear(config.width, config.kv_heads * size, bias=False)
        self.value = nn.Linear(config.width, config.kv_heads * size, bias=False)
        self.out = nn.Linear(config.heads * size, config.width, bias=False)

    def project(self, memory: Tensor) -> list[Tensor]:
        """memory [B, S, D] → keys, values [B, K, S, E]"""
        size = self.config.head_size
        return [_heads(self.key(memory), size), _heads(self.value(memory), size)]

    def forward(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, D], mask bool [B, 1, 1, S] → [B, T, D]"""
        query = _heads(self.query(x), self.config.head_size)
        mixed = attention(query, key, value, mask)
        result: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result


class FeedForward(nn.Module):
    """SwiGLU, silu(gate) · up from one matrix, or ReLU; then back to the width."""

    def __init__(self, config: Config, dropout: float) -> None:
        super().__init__()
        self.is_gated = config.activation == "swiglu"
        self.up = nn.Linear(config.width, (1 + self.is_gated) * config.hidden, bias=False)
        self.down = nn.Linear(config.hidden, config.width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.up(x)
        if self.is_gated:
            gate, up = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * up
        else:
            hidden = F.relu(hidden)
        result: Tensor = self.down(self.dropout(hidden))
        return result


class EncoderBlock(nn.Module):
    def __init__(self, config: Config, dropout: float) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = SelfAttention(config)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = FeedForward(config, dropout)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin, mask))
        result: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return result


class DecoderBlock(nn.Module):
    def __init__(self, config: Config, dropout: float) -> None:
        super().__init__()
        self.attention_norm = _norm(config)
        self.attention = SelfAttention(config)
        self.cross_norm = _norm(config)
        self.cross = CrossAttention(config)
        self.feed_forward_norm = _norm(config)
        self.feed_forward = FeedForward(config, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, cross: tuple[Tensor, Tensor], mask: Tensor
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x), cos, sin, None))
        x = x + self.dropout(self.cross(self.cross_norm(x), *cross, mask))
        result: Tensor = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return result


class TransformerSeq2Seq(Seq2Seq):
    """`source_vocabulary` none: both sides share `vocabulary`. `longest`: tokens of either side."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        config: Config,
        vocabulary: int,
        *,
        longest: int,
        dropout: float = 0.0,
        source_vocabulary: int | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocabulary, config.width)
        is_shared = source_vocabulary is None and config.tied_embeddings
        self.source_embedding = (
            self.embedding
            if is_shared
            else nn.Embedding(source_vocabulary or vocabulary, config.width)
        )
        self.encoder = nn.ModuleList(
            EncoderBlock(config, dropout) for _ in range(config.encoder_layers)
        )
        self.encoder_norm = _norm(config)
        self.decoder = nn.ModuleList(
            DecoderBlock(config, dropout) for _ in range(config.decoder_layers)
        )
        self.norm = _norm(config)
        self.head = nn.Linear(config.width, vocabulary, bias=False)
        self.dropout = Dropout(dropout)
        exponents = torch.arange(0, config.head_size, 2, dtype=torch.float32) / config.head_size
        angles = torch.outer(torch.arange(longest).float(), config.rope_theta**-exponents)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self._initialise()
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight

    @property
    @override
    def sizes(self) -> SlotSizes:
        config = self.config
        return SlotSizes(
            config.decoder_layers, config.kv_heads, config.head_size, self.head.out_features
        )

    def _initialise(self) -> None:
        """Xavier's matrices; embeddings of unit variance once they are scaled."""
        for parameter in self.parameters():
            if parameter.dim() >= 2:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.embedding, self.source_embedding):
            nn.init.normal_(embedding.weight, std=self.config.width**-0.5)

    @override
    def encode(self, source: Tensor, mask: Tensor) -> list[Tensor]:
        length = source.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        seen = mask[:, None, None, :] > 0
        x = self.dropout(self.source_embedding(source) * self.scale)
        for block in self.encoder:
            x = block(x, cos, sin, seen)
        memory = self.encoder_norm(x)
        projected: list[Tensor] = []
        for block in self.decoder:
            assert isinstance(block, DecoderBlock)
            projected += block.cross.project(memory)
        return projected

    @override
    def decode(self, answer: Tensor, cross: Sequence[Tensor], mask: Tensor) -> Tensor:
        length = answer.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        seen = mask[:, None, None, :] > 0
        x = self.dropout(self.embedding(answer) * self.scale)
        for index, block in enumerate(self.decoder):
            x = block(x, cos, sin, (cross[2 * index], cross[2 * index + 1]), seen)
        logits: Tensor = self.head(self.norm(x))
        return logits

    @property
    def scale(self) -> float:
        """Embeddings times √D, as in the original: beside them the tied head's rows stay small."""
        return float(self.config.width**0.5)

    @override
    def slot_graph(self) -> nn.Module:
        from training.networks.cross_slot_transformer import TransformerSlot

        return TransformerSlot(self)


def _norm(config: Config) -> nn.RMSNorm:
    return nn.RMSNorm(config.width, eps=config.norm_eps)


def _heads(x: Tensor, size: int) -> Tensor:
    """[B, T, heads·E] → [B, heads, T, E]"""
    return x.view(*x.shape[:2], -1, size).transpose(1, 2)
