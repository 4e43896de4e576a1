"""Encoder–decoders as the generation engine runs them: two graphs, and what their modules share.

Between training and export. The encoder runs once for a source, the decoder once for a step of any rows:

    encoder.onnx  input_ids[B,S] i64 · attention_mask[B,S] i64 → cross.{i}.{key,value}[B,K,S,E] f16
    model.onnx    ids[B,S] i64 · seqlens_k[B] i32 · total[1] i32 · logit_idx[N] i64
                  · past.{i}.{key,value}[B,K,P,E] f16
                  · cross_lengths[B] i32 · cross.{i}.{key,value}[B,K,X,E] f16
                  → logits[N,V] f32 · present.{i}.{key,value}[B,K,P,E] f16

The first five inputs of model.onnx and its outputs are those of the slot graph (`slot_graph`), in its
words; what a source left stands behind them, padded to X, and positions from `cross_lengths` on are not
looked at. The modules below can only be exported where they use an operator torch does not have.
"""

from typing import Any

import torch
from torch import Tensor, nn

from training.networks.seq2seq import Seq2Seq
from training.networks.slot_graph import CACHE_DTYPE

DIALECT = "slipway.slot.cross"
DIALECT_VERSION = "1"
ENCODER_FILE = "encoder.onnx"
# Far below any score; infinity would make a row of nothing but padding NaN.
_HIDDEN = -1e9


class EncoderGraph(nn.Module):
    """`encode` of a trained network, in the cache's precision."""

    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        cross = self.network.encode(input_ids, attention_mask)
        return tuple(tensor.to(CACHE_DTYPE) for tensor in cross)


def split_inputs(
    rest: tuple[Tensor, ...], layers: int
) -> tuple[tuple[Tensor, ...], Tensor, tuple[Tensor, ...]]:
    """What follows `logit_idx`: the cache, cross_lengths, what the source left."""
    return rest[: 2 * layers], rest[2 * layers], rest[2 * layers + 1 :]


def cross_bias(lengths: Tensor, key: Tensor) -> Tensor:
    """0 where there is a source token, far below any score behind its end; [B, 1, 1, X] float32."""
    places = torch.arange(key.shape[2], device=key.device)
    hidden = places[None, :] >= lengths[:, None]
    return hidden[:, None, None, :].to(torch.float32) * _HIDDEN


def attend_source(
    query: Tensor, cross: tuple[Tensor, Tensor], bias: Tensor, scale: float
) -> Tensor:
    """query [B, S, H·E]; keys and values [B, K, X, E] of the cache; bias [B, 1, 1, X] → [B, S, H·E].

    Query heads that share a key/value head are laid side by side as more rows of one product.
    """
    key, value = (side.to(query.dtype) for side in cross)
    batch, length, _ = query.shape
    kv_heads, size = key.shape[1], key.shape[3]
    rows = query.reshape(batch, length, kv_heads, -1, size).permute(0, 2, 3, 1, 4)
    group = rows.shape[2]
    rows = rows.reshape(batch, kv_heads, group * length, size)
    scores = rows @ key.transpose(2, 3) * scale + bias
    mixed = torch.softmax(scores, dim=-1) @ value  # [B, K, G·S, E]
    mixed = mixed.reshape(batch, kv_heads, group, length, size).permute(0, 3, 1, 2, 4)
    return mixed.reshape(batch, length, -1)


def group_query_attention(
    qkv: tuple[Tensor, Tensor, Tensor],
    cache: tuple[Tensor, Tensor],
    seqlens_k: Tensor,
    total: Tensor,
    more: tuple[Tensor | None, ...] = (),
    **attributes: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """The kernel that appends to the cache in place and attends; `more`: its inputs behind `total`."""
    assert torch.onnx.is_in_onnx_export(), "outside an export the operator computes nothing"
    inputs = (*(part.to(CACHE_DTYPE) for part in qkv), *cache, seqlens_k, total, *more)
    mixed, keys, values = torch.onnx.ops.symbolic_multi_out(
        "com.microsoft::GroupQueryAttention",
        inputs,
        attributes,
        dtypes=(CACHE_DTYPE,) * 3,
        shapes=(qkv[0].shape, cache[0].shape, cache[1].shape),
        version=1,
    )
    return mixed.to(qkv[0].dtype), keys, values


def wanted(x: Tensor, logit_idx: Tensor) -> Tensor:
    """The chosen positions of x [B, S, D] as [1, N, D]: on two axes the head would export as Gemm, which
    weight-only quantisation leaves alone."""
    return x.reshape(1, -1, x.shape[-1]).index_select(1, logit_idx)
