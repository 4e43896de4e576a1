"""T5 checkpoints as encoder–decoders of the same kind as our own; the weights and sizes are the file's.

Letters as in `training.networks.seq2seq`; K = H. Raffel et al. 2020 (arXiv:1910.10683): no positions
but a bias that each attention adds by distance, learned once and shared by all layers, and products that
are not scaled. The layers are transformers' own; how they are put together is spelled here, because the
encoder's side of cross-attention must come apart from the decoder.

Takes T5 and mT5 (also v1.1, Flan). UMT5 learns a bias in every layer and BART's kin embeds absolute
positions: those are refused by name rather than exported wrong.
"""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from typing_extensions import override

from training.checkpoints import checkpoint_folder, load_module
from training.errors import DataError
from training.networks.seq2seq import Seq2Seq, SlotSizes
from training.pretrained import read_tokenizer, require_embeddings

KNOWN = ("t5", "mt5")
_FORBIDDEN = -1e9


def load_t5(source: str) -> "tuple[T5Seq2Seq, Tokenizer]":
    """A checkpoint and its tokenizer, which ends every text as the network learned it; `source` as for
    every `pretrained.source`. Raises UsageError, DataError."""
    from transformers import AutoModelForSeq2SeqLM

    folder = checkpoint_folder(source)
    module = load_module(AutoModelForSeq2SeqLM, folder, attn_implementation="eager")
    kind = module.config.model_type
    if kind not in KNOWN:
        raise DataError(
            f"{folder}: a {kind} model cannot be fine-tuned here; {' and '.join(KNOWN)} can, whose only "
            "positions are a bias by distance that all layers share"
        )
    tokenizer_json, _ = read_tokenizer(folder)
    require_embeddings(folder, module, tokenizer_json)
    return T5Seq2Seq(module), Tokenizer.from_str(tokenizer_json)


class T5Seq2Seq(Seq2Seq):
    """Wraps `T5ForConditionalGeneration` or its like."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    @property
    def start_token_id(self) -> int:
        return int(self.module.config.decoder_start_token_id)

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        ids = self.module.config.eos_token_id
        return tuple(ids) if isinstance(ids, list | tuple) else (int(ids),)

    @property
    @override
    def sizes(self) -> SlotSizes:
        config = self.module.config
        layers = config.num_decoder_layers
        return SlotSizes(layers, config.num_heads, config.d_kv, self.module.lm_head.out_features)

    @override
    def encode(self, source: Tensor, mask: Tensor) -> list[Tensor]:
        encoder = self.module.encoder
        hidden = (mask[:, None, None, :] == 0).float() * _FORBIDDEN
        bias = first_attention(encoder).compute_bias(source.shape[1], source.shape[1]) + hidden
        x = encoder.dropout(encoder.embed_tokens(source))
        for block in encoder.block:
            x = self._look_at_itself(block, x, bias)
            x = block.layer[-1](x)
        memory = encoder.dropout(encoder.final_layer_norm(x))
        projected: list[Tensor] = []
        for block in self.module.decoder.block:
            attention = block.layer[1].EncDecAttention
            projected += [self._heads(attention.k(memory)), self._heads(attention.v(memory))]
        return projected

    @override
    def decode(self, answer: Tensor, cross: Sequence[Tensor], mask: Tensor) -> Tensor:
        decoder, length = self.module.decoder, answer.shape[1]
        future = torch.ones(length, length, device=answer.device).triu(1) * _FORBIDDEN
        bias = first_attention(decoder).compute_bias(length, length) + future
        hidden = (mask[:, None, None, :] == 0).float() * _FORBIDDEN
        x = decoder.dropout(decoder.embed_tokens(answer))
        for index, block in enumerate(decoder.block):
            x = self._look_at_itself(block, x, bias)
            part = block.layer[1]
            query = self._heads(part.EncDecAttention.q(part.layer_norm(x)))
            key, value = cross[2 * index], cross[2 * index + 1]
            mixed = self._mix(query, key, value, hidden)
            x = x + part.dropout(part.EncDecAttention.o(mixed))
            x = block.layer[-1](x)
        return self.logits(decoder.dropout(decoder.final_layer_norm(x)))

    def logits(self, x: Tensor) -> Tensor:
        """A tied head reads what is scaled down by √D; the file says which."""
        config = self.module.config
        is_scaled = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
        if is_scaled:
            x = x * config.d_model**-0.5
        logits: Tensor = self.module.lm_head(x)
        return logits

    def _look_at_itself(self, block: Any, x: Tensor, bias: Tensor) -> Tensor:
        part = block.layer[0]
        attention, normal = part.SelfAttention, part.layer_norm(x)
        query, key, value = (
            self._heads(side(normal)) for side in (attention.q, attention.k, attention.v)
        )
        result: Tensor = x + part.dropout(attention.o(self._mix(query, key, value, bias)))
        return result

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """[B, H, T, E] each, bias [B or 1, H or 1, T, S] → [B, T, H·E]; products are not scaled."""
        weights = torch.softmax((query @ key.transpose(2, 3)).float() + bias, dim=-1)
        part = self.module.config.dropout_rate if self.training else 0.0
        weights = nn.functional.dropout(weights, part, self.training).to(value.dtype)
        return (weights @ value).transpose(1, 2).flatten(2)

    def _heads(self, x: Tensor) -> Tensor:
        """[B, T, H·E] → [B, H, T, E]"""
        config = self.module.config
        return x.view(*x.shape[:2], config.num_heads, config.d_kv).transpose(1, 2)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Embeddings, the encoder's layers, the decoder's: for frozen layers and layer-wise steps."""
        stacks = (self.module.encoder, self.module.decoder)
        layers = [list(block.parameters()) for stack in stacks for block in stack.block]
        return [
            list(self.module.shared.parameters()),
            *layers,
            list(self.module.lm_head.parameters()),
        ]

    @override
    def slot_graph(self) -> nn.Module:
        from training.networks.cross_slot_t5 import T5Slot

        return T5Slot(self)


def first_attention(stack: Any) -> Any:
    """The layer that holds the bias which all layers of an encoder or decoder add."""
    return stack.block[0].layer[0].SelfAttention
