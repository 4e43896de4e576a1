"""The decoder as the generation engine runs it: ragged rows over a KV cache that the caller owns.

Between training and export. One step of any mixture the engine needs is one run of this graph:

    ids[B,S] i64 · seqlens_k[B] i32 · total[1] i32 · logit_idx[N] i64 · past.{i}.{key,value}[B,K,P,E] f16
        → logits[N,V] f32 · present.{i}.{key,value}[B,K,P,E] f16

`seqlens_k` is each row's number of cached tokens after this step, minus one; `total` the largest of
them, plus one; `logit_idx` selects positions of the flattened [B·S] whose logits are wanted; P is the
cache's fixed length. Rows longer than one token are allowed from an empty cache (right-padded), or
alone (B = 1) on top of a past: the kernel's limits, see below. Other letters as in `decoder.py`.

Attention is ONNX Runtime's `com.microsoft::GroupQueryAttention`, which rotates, appends to the cache in
place and attends in one kernel:
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
Torch has no such operator, so this module can only be exported, not run: the exported graph is judged
against the Decoder itself. The cache is float16: half the memory at the same speed.
"""

from typing import cast

import torch
from torch import Tensor, nn

from training.networks.decoder import Attention, Decoder, RotaryTables
from training.networks.decoder_traits import DecoderTraits

DIALECT = "slipway.slot"
DIALECT_VERSION = "1"
CACHE_DTYPE = torch.float16


class SlotDecoder(nn.Module):
    """Wraps a trained Decoder; shares its weights."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.rotaries = nn.ModuleList(
            _CacheTables(tables) for tables in cast(list[RotaryTables], decoder.rotaries)
        )

    def forward(
        self, ids: Tensor, seqlens_k: Tensor, total: Tensor, logit_idx: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        x = self.decoder.embed(ids)
        if self.decoder.positions is not None:
            x = x + self.decoder.positions(self._places(ids, seqlens_k))
        present: list[Tensor] = []

        def attend(attention: Attention, ready: Tensor) -> Tensor:
            cache = past[2 * attention.layer : 2 * attention.layer + 2]
            mixed, *after = self._attend(attention, ready, cache, seqlens_k, total)
            present.extend(after)
            result: Tensor = attention.out(mixed)
            return result

        for block in self.decoder.blocks:
            x = block(x, attend, normalised)
        # The head stays on three axes: on two, Linear exports as Gemm, which weight-only
        # quantisation leaves alone. Selecting first spares the head all unwanted positions.
        wanted = x.reshape(1, -1, x.shape[-1]).index_select(1, logit_idx)
        logits = self.decoder.logits(normalised(self.decoder.norm, wanted))
        return (logits.squeeze(0), *present)

    def _places(self, ids: Tensor, seqlens_k: Tensor) -> Tensor:
        """int64 [B, S]: each token's place in its row.

        What is cached already is seqlens_k + 1 − S tokens. Padded rows, which start from nothing,
        would get less than none: for them it is nothing. Padding stays within the table.
        """
        length = ids.shape[1]
        cached = (seqlens_k.to(torch.int64) + 1 - length).clamp(min=0)
        places = cached[:, None] + torch.arange(length, device=ids.device)
        return places.clamp(max=self.decoder.config.context - 1)

    def _attend(
        self,
        attention: Attention,
        x: Tensor,
        cache: tuple[Tensor, ...],
        seqlens_k: Tensor,
        total: Tensor,
    ) -> tuple[Tensor, ...]:
        """x [B, S, D] → mixed values [B, S, H·E] and the cache after this step."""
        assert torch.onnx.is_in_onnx_export(), "outside an export the operator computes nothing"
        config, traits = attention.config, attention.config.traits
        projected = attention.project(x, normalised)
        inputs = (*(part.flatten(2).to(CACHE_DTYPE) for part in projected), *cache)
        tables: tuple[Tensor, ...] = ()
        if len(self.rotaries):
            table = cast(_CacheTables, self.rotaries[traits.rotary(attention.layer)])
            tables = (table.cos, table.sin)
        mixed, keys, values = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            (*inputs, seqlens_k, total, *tables),
            {
                "num_heads": config.heads,
                "kv_num_heads": config.kv_heads,
                "do_rotary": int(bool(tables)),
                **_options(traits, attention.layer),
            },
            dtypes=(CACHE_DTYPE,) * 3,
            shapes=(inputs[0].shape, cache[0].shape, cache[1].shape),
            version=1,
        )
        return mixed.to(x.dtype), keys, values


class _CacheTables(nn.Module):
    """Rotary tables in the type of what they turn."""

    cos: Tensor
    sin: Tensor

    def __init__(self, tables: RotaryTables) -> None:
        super().__init__()
        self.register_buffer("cos", tables.cos.to(CACHE_DTYPE), persistent=False)
        self.register_buffer("sin", tables.sin.to(CACHE_DTYPE), persistent=False)


def _options(traits: DecoderTraits, layer: int) -> dict[str, float | int]:
    """What the kernel does by default is not written down."""
    options: dict[str, float | int] = {}
    if traits.attention_scale is not None:
        options["scale"] = float(traits.attention_scale)
    if traits.attention_softcap:
        options["softcap"] = float(traits.attention_softcap)
    if traits.window(layer):
        options["local_window_size"] = traits.window(layer)
    return options


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """RMSNorm is spelled with a division: ONNX Runtime fuses this form into one kernel, the reciprocal
    that torch's own decomposition writes it does not."""
    if isinstance(norm, nn.LayerNorm):
        result: Tensor = norm(x)
        return result
    assert isinstance(norm, nn.RMSNorm)
    assert norm.eps is not None
    return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + norm.eps) * norm.weight
