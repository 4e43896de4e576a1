"""T5's decoder over a cache that the caller owns; letters as in `cross_slot`, C longest answer.

The bias by distance goes in through GroupQueryAttention's `attention_bias` [B, H, S, total]. ONNX
Runtime's kernel on the CPU adds it per row, ragged rows included, and insists that its last axis is
`total` exactly: hence the slice. On CUDA the operator knows no such input.
"""

import torch
from torch import Tensor, nn

from training.networks.cross_slot import (
    attend_source,
    cross_bias,
    group_query_attention,
    split_inputs,
    wanted,
)
from training.networks.seq2seq_t5 import T5Seq2Seq, first_attention
from training.networks.slot_graph import CACHE_DTYPE

_SLICE_VERSION = 13


class T5Slot(nn.Module):
    """Wraps a checkpoint; shares its weights."""

    buckets: Tensor

    def __init__(self, network: T5Seq2Seq) -> None:
        super().__init__()
        self.network = network
        attention = first_attention(network.module.decoder)
        # Beyond the largest distance all buckets are the last one.
        longest = attention.relative_attention_max_distance + 1
        buckets = attention._relative_position_bucket(
            -torch.arange(longest),
            bidirectional=False,
            num_buckets=attention.relative_attention_num_buckets,
            max_distance=attention.relative_attention_max_distance,
        )
        self.register_buffer("buckets", buckets, persistent=False)

    def forward(
        self, ids: Tensor, seqlens_k: Tensor, total: Tensor, logit_idx: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        network, decoder = self.network, self.network.module.decoder
        past, lengths, cross = split_inputs(rest, network.sizes.layers)
        hidden = cross_bias(lengths, cross[0])
        bias = self._bias(ids.shape[1], seqlens_k, total, past[0].shape[2])
        x = decoder.embed_tokens(ids)
        present: list[Tensor] = []
        for index, block in enumerate(decoder.block):
            part, heads = block.layer[0], network.sizes.kv_heads
            attention, normal = part.SelfAttention, part.layer_norm(x)
            mixed, *cached = group_query_attention(
                (attention.q(normal), attention.k(normal), attention.v(normal)),
                (past[2 * index], past[2 * index + 1]),
                seqlens_k,
                total,
                (None, None, None, bias),
                num_heads=heads,
                kv_num_heads=heads,
                do_rotary=0,
                scale=1.0,
            )
            present.extend(cached)
            x = x + attention.o(mixed)
            part = block.layer[1]
            query = part.EncDecAttention.q(part.layer_norm(x))
            mixed = attend_source(query, (cross[2 * index], cross[2 * index + 1]), hidden, 1.0)
            x = x + part.EncDecAttention.o(mixed)
            x = block.layer[-1](x)
        logits = network.logits(decoder.final_layer_norm(wanted(x, logit_idx)))
        return (torch.squeeze(logits, 0), *present)

    def _bias(self, fed: int, seqlens_k: Tensor, total: Tensor, capacity: int) -> Tensor:
        """[B, H, S, total], by how far each cached token lies before each token of this step."""
        starts = (seqlens_k + 1 - fed).clamp(min=0).to(torch.int64)  # [B]
        places = starts[:, None] + torch.arange(fed, device=seqlens_k.device)  # [B, S]
        cached = torch.onnx.ops.symbolic(
            "Slice",
            (
                torch.arange(capacity, device=seqlens_k.device),
                torch.zeros(1, dtype=torch.int64),
                total.to(torch.int64),
                torch.zeros(1, dtype=torch.int64),
            ),
            dtype=torch.int64,
            shape=(capacity,),  # total, in truth: a length that torch cannot know
            version=_SLICE_VERSION,
        )
        distance = (places[:, :, None] - cached).clamp(0, self.buckets.shape[0] - 1)
        table = first_attention(self.network.module.decoder).relative_attention_bias.weight
        by_distance = table[self.buckets]  # [distances, H]
        bias = nn.functional.embedding(distance, by_distance)  # [B, S, total, H]
        return bias.permute(0, 3, 1, 2).to(CACHE_DTYPE)
