"""Attention of all our own networks: torch's fused kernel, in the precision in which it is quick."""

import torch
from torch import Tensor
from torch.nn import functional


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """query [B, H, T, E], key and value [B, K, S, E], K divides H → [B, H, T, E]; `mask` as torch takes it.

    Under bf16 autocast on a CPU it is computed in float32: the bf16 kernel's backward pass takes two to
    four times as long where T is below 130, and longer up to 256 (docs/LOG.md).
    """

    def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
        return functional.scaled_dot_product_attention(
            q, k, v, seen, is_causal=is_causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
        )

    if query.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return attend(query, key, value, mask)
    wide = mask.float() if mask is not None and mask.is_floating_point() else mask
    with torch.autocast("cpu", enabled=False):
        return attend(query.float(), key.float(), value.float(), wide)
