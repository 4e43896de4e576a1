"""What transformers calls a decoder, in Slipway's words: traits, sizes, and where the weights lie.

One table for all families: each entry says what its configuration cannot (the arrangement of a block,
which matrices have biases, names); the rest is read from the checkpoint's configuration by the names that
transformers gives to it. What the slot graph cannot compute is refused with the key that asks for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from pydantic import Field
from typing_extensions import override

from training.errors import DataError
from training.networks.decoder import DecoderConfig
from training.networks.decoder_traits import DecoderTraits, Rotary

_ACTIVATIONS = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
}
# Their wavelengths depend on how long the text has become; a table cannot.
_CHANGING_ROTARIES = ("dynamic", "longrope")


class ImportedConfig(DecoderConfig):
    """Sizes and traits that a checkpoint brings along."""

    attention_size: int = Field(ge=8, description="E: of one head, whatever the width")
    imported_traits: DecoderTraits

    @property
    @override
    def head_size(self) -> int:
        return self.attention_size

    @property
    @override
    def traits(self) -> DecoderTraits:
        return self.imported_traits

    @override
    def require_sizes(self) -> None:
        """`_require_kernel` has spoken, in the checkpoint's own words."""


@dataclass(frozen=True)
class Layout:
    """Names of the weights. Several for one of ours are put on top of each other. `norms`: ours → theirs,
    within a layer."""

    embedding: str = "model.embed_tokens"
    positions: str | None = None
    layer: str = "model.layers.{}."
    qkv: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    out: str = "self_attn.o_proj"
    up: tuple[str, ...] = ("mlp.gate_proj", "mlp.up_proj")
    down: str = "mlp.down_proj"
    norms: dict[str, str] = field(
        default_factory=lambda: {
            "attention_norm": "input_layernorm",
            "feed_forward_norm": "post_attention_layernorm",
        }
    )
    norm: str = "model.norm"
    head: str = "lm_head"
    is_transposed: bool = False
    """Matrices of layers stand as [in, out]."""
    optional_prefix: str = ""
    """Left out by some checkpoints."""
    norm_offset: float = 0.0
    """Added to the weights of every RMSNorm."""


@dataclass(frozen=True)
class DecoderFamily:
    """`traits`: what no configuration says. `bias_keys`: a key of the configuration → biases it switches."""

    layout: Layout
    traits: DecoderTraits
    bias_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scales_embedding: bool = False


_LLAMA = DecoderTraits(positions="rotary", norm="rms", activation="silu", is_gated=True)
_HEAD_NORMS = {"attention.query_norm": "self_attn.q_norm", "attention.key_norm": "self_attn.k_norm"}
_SANDWICH_NORMS = {
    "attention_norm": "input_layernorm",
    "attention_after_norm": "post_attention_layernorm",
    "feed_forward_norm": "pre_feedforward_layernorm",
    "feed_forward_after_norm": "post_feedforward_layernorm",
}
_ATTENTION_BIAS = {"attention_bias": ("qkv", "out")}

FAMILIES = {
    "llama": DecoderFamily(Layout(), _LLAMA, {**_ATTENTION_BIAS, "mlp_bias": ("feed_forward",)}),
    "mistral": DecoderFamily(Layout(), _LLAMA),
    "qwen2": DecoderFamily(Layout(), replace(_LLAMA, biases=frozenset({"qkv"}))),
    "qwen3": DecoderFamily(
        Layout(norms=Layout().norms | _HEAD_NORMS),
        replace(_LLAMA, normalises_heads=True),
        _ATTENTION_BIAS,
    ),
    "gemma": DecoderFamily(Layout(norm_offset=1.0), _LLAMA, _ATTENTION_BIAS, scales_embedding=True),
    "gemma2": DecoderFamily(
        Layout(norms=_SANDWICH_NORMS, norm_offset=1.0),
        replace(_LLAMA, arrangement="sandwich"),
        _ATTENTION_BIAS,
        scales_embedding=True,
    ),
    "gemma3_text": DecoderFamily(
        Layout(norms=_SANDWICH_NORMS | _HEAD_NORMS, norm_offset=1.0),
        replace(_LLAMA, arrangement="sandwich", normalises_heads=True),
        _ATTENTION_BIAS,
        scales_embedding=True,
    ),
    "phi3": DecoderFamily(Layout(qkv=("self_attn.qkv_proj",), up=("mlp.gate_up_proj",)), _LLAMA),
    "phi": DecoderFamily(
        Layout(
            out="self_attn.dense",
            up=("mlp.fc1",),
            down="mlp.fc2",
            norms={"attention_norm": "input_layernorm"},
            norm="model.final_layernorm",
        ),
        DecoderTraits(
            positions="rotary",
            norm="layer",
            activation="gelu_tanh",
            biases=frozenset({"qkv", "out", "feed_forward", "head"}),
            arrangement="parallel",
        ),
    ),
    "gpt2": DecoderFamily(
        Layout(
            embedding="transformer.wte",
            positions="transformer.wpe",
            layer="transformer.h.{}.",
            qkv=("attn.c_attn",),
            out="attn.c_proj",
            up=("mlp.c_fc",),
            down="mlp.c_proj",
            norms={"attention_norm": "ln_1", "feed_forward_norm": "ln_2"},
            norm="transformer.ln_f",
            is_transposed=True,
            optional_prefix="transformer.",
        ),
        DecoderTraits(
            positions="learned",
            norm="layer",
            activation="gelu_tanh",
            biases=frozenset({"qkv", "out", "feed_forward"}),
        ),
    ),
}
_UNSUPPORTED = {
    "quantization_config": "its weights are quantised already; import the original ones, "
    "then --precision int4",
    "qk_layernorm": "a LayerNorm with bias on queries and keys",
    "use_bidirectional_attention": "tokens that see later ones",
    "scale_attn_by_inverse_layer_idx": "attention scaled by the layer's number",
    "add_cross_attention": "cross-attention",
}


def family_of(config: Any) -> DecoderFamily:
    """`config` is transformers' own. Raises DataError naming the key that cannot be."""
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise DataError(
            f"config.json: model_type {config.model_type!r} is none of the decoders that can be "
            f"imported: {', '.join(FAMILIES)}"
        )
    for key, meaning in _UNSUPPORTED.items():
        if getattr(config, key, None):
            raise DataError(f"config.json: {key}: {meaning} cannot be served")
    return family


def describe(config: Any, context: int) -> ImportedConfig:
    """Sizes and traits for texts of `context` tokens. Raises DataError as `family_of`."""
    family = family_of(config)
    traits = _traits(config, family)
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    described = ImportedConfig(
        context=context,
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        hidden=_first(config, "intermediate_size", "n_inner") or 4 * config.hidden_size,
        norm_eps=_first(config, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"),
        tied_head=bool(config.tie_word_embeddings),
        attention_size=head_size,
        imported_traits=traits,
    )
    _require_kernel(described)
    return described


def longest_text(config: Any) -> int:
    """Tokens that the checkpoint was made for."""
    return int(config.max_position_embeddings)


def _traits(config: Any, family: DecoderFamily) -> DecoderTraits:
    biases = set(family.traits.biases)
    for key, switched in family.bias_keys.items():
        if getattr(config, key, False):
            biases.update(cast(Any, switched))
    named = _first(config, "hidden_activation", "hidden_act", "activation_function")
    if named not in _ACTIVATIONS:
        raise DataError(
            f"config.json: hidden_act {named!r} is none of {', '.join(sorted(_ACTIVATIONS))}"
        )
    kinds = _layer_kinds(config)
    rotaries, order = _rotaries(config) if family.traits.positions == "rotary" else ((), ())
    scalar = getattr(config, "query_pre_attn_scalar", None)
    scale = None if scalar is None else scalar**-0.5
    if getattr(config, "scale_attn_weights", True) is False:
        scale = 1.0
    return replace(
        family.traits,
        activation=cast(Any, _ACTIVATIONS[named]),
        biases=frozenset(biases),
        embedding_scale=float(config.hidden_size**0.5) if family.scales_embedding else 1.0,
        attention_scale=scale,
        attention_softcap=float(getattr(config, "attn_logit_softcapping", None) or 0),
        logit_softcap=float(getattr(config, "final_logit_softcapping", None) or 0),
        windows=tuple(
            int(config.sliding_window) if kind == "sliding_attention" else 0 for kind in kinds
        ),
        rotaries=rotaries,
        layer_rotaries=tuple(order.index(kind) for kind in kinds) if order else (),
    )


def _layer_kinds(config: Any) -> tuple[str, ...]:
    """Of every layer: full_attention or sliding_attention. Without a list, a window holds everywhere."""
    kinds = getattr(config, "layer_types", None)
    if kinds is None:
        is_sliding = getattr(config, "sliding_window", None) is not None
        kinds = ["sliding_attention" if is_sliding else "full_attention"] * config.num_hidden_layers
    for kind in kinds:
        if kind not in ("full_attention", "sliding_attention"):
            raise DataError(f"config.json: layer_types: {kind!r} cannot be served")
    return tuple(kinds)


def _rotaries(config: Any) -> tuple[tuple[Rotary, ...], tuple[str, ...]]:
    """The library's own wavelengths, and for which kind of layer each of several is."""
    from transformers import AutoModelForCausalLM

    parameters = config.rope_parameters
    nested = {name: value for name, value in parameters.items() if isinstance(value, dict)}
    for named in nested.values() or (parameters,):
        if (kind := named.get("rope_type", "default")) in _CHANGING_ROTARIES:
            raise DataError(
                f"config.json: rope_type {kind!r} (rope_parameters, rope_scaling) changes the "
                "positions with the text's length, which a cache of rotated keys cannot follow"
            )
    with torch.device("meta"):  # the classes alone; no memory for weights
        network: Any = cast(Any, AutoModelForCausalLM).from_config(config)
    table = type(network.model.rotary_emb)(config)
    if not nested:
        return (_rotary(table.inv_freq, table.attention_scaling),), ()
    order = tuple(sorted(kind for kind in nested if hasattr(table, f"{kind}_inv_freq")))
    found = tuple(
        _rotary(getattr(table, f"{kind}_inv_freq"), getattr(table, f"{kind}_attention_scaling"))
        for kind in order
    )
    return found, order


def _rotary(frequencies: torch.Tensor, magnitude: float) -> Rotary:
    return Rotary(tuple(frequencies.float().tolist()), float(magnitude))


def _require_kernel(config: ImportedConfig) -> None:
    """What ONNX Runtime's attention takes. Raises DataError."""
    size = config.head_size
    if config.heads % config.kv_heads:
        raise DataError(
            f"config.json: num_attention_heads {config.heads} is no multiple of num_key_value_heads "
            f"{config.kv_heads}"
        )
    step = 16 if config.rotaries else 8
    if size % step:
        raise DataError(
            f"config.json: head_dim {size} (hidden_size over num_attention_heads) is no multiple of "
            f"{step}, in which ONNX Runtime's attention computes"
        )
    for rotary in config.rotaries:
        if len(rotary.frequencies) % 8:
            raise DataError(
                f"config.json: partial_rotary_factor turns {2 * len(rotary.frequencies)} of "
                f"{size} numbers of a head; ONNX Runtime's attention turns multiples of 16"
            )


def _first(config: Any, *keys: str) -> Any:
    """The value of the first of `keys` that there is and that says something."""
    return next((found for key in keys if (found := getattr(config, key, None)) is not None), None)
