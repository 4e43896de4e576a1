"""The decoder of `seq2seq_transformer` over a cache that the caller owns; letters as there and in
`cross_slot`. Self-attention is ONNX Runtime's GroupQueryAttention, cross-attention plain products."""

from typing import cast

import torch
from torch import Tensor, nn

from training.networks.cross_slot import (
    attend_source,
    cross_bias,
    group_query_attention,
    split_inputs,
    wanted,
)
from training.networks.seq2seq_transformer import DecoderBlock, TransformerSeq2Seq
from training.networks.slot_graph import CACHE_DTYPE, normalised


class TransformerSlot(nn.Module):
    """Wraps a trained network; shares its weights."""

    cos: Tensor
    sin: Tensor

    def __init__(self, network: TransformerSeq2Seq) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("cos", network.cos.to(CACHE_DTYPE), persistent=False)
        self.register_buffer("sin", network.sin.to(CACHE_DTYPE), persistent=False)

    def forward(
        self, ids: Tensor, seqlens_k: Tensor, total: Tensor, logit_idx: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        network, config = self.network, self.network.config
        past, lengths, cross = split_inputs(rest, config.decoder_layers)
        bias = cross_bias(lengths, cross[0])
        x = network.embedding(ids) * network.scale
        present: list[Tensor] = []
        for index, block in enumerate(cast(list[DecoderBlock], network.decoder)):
            attention, sides = block.attention, slice(2 * index, 2 * index + 2)
            q, k, v = attention.qkv(normalised(block.attention_norm, x)).split(
                attention.sizes, dim=-1
            )
            mixed, *cached = group_query_attention(
                (q, k, v),
                cast(tuple[Tensor, Tensor], past[sides]),
                seqlens_k,
                total,
                (self.cos, self.sin),
                num_heads=config.heads,
                kv_num_heads=config.kv_heads,
                do_rotary=1,
            )
            present.extend(cached)
            x = x + attention.out(mixed)
            query = block.cross.query(normalised(block.cross_norm, x))
            mixed = attend_source(
                query, (cross[2 * index], cross[2 * index + 1]), bias, config.head_size**-0.5
            )
            x = x + block.cross.out(mixed)
            x = x + block.feed_forward(normalised(block.feed_forward_norm, x))
        logits = network.head(normalised(network.norm, wanted(x, logit_idx)))
        return (torch.squeeze(logits, 0), *present)
