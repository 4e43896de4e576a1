"""Tiny checkpoints of decoders, in the library's own layout: every family, random weights.

Weights are enlarged, so that greedy texts have clear winners and every part of a network shows in them.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training.checkpoints import quiet_transformers
from training.importing.samples import TEXTS

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for one in messages %}[{{ one.role }}]{{ one.content }}{% endfor %}"
)
_SIZES = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
}
_SQUARE = {**{key: size for key, size in _SIZES.items() if key != "head_dim"}, "hidden_size": 64}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_LINEAR = {"rope_type": "linear", "factor": 4.0, "rope_theta": 50_000.0}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {**_SQUARE, "attention_bias": True, "rope_parameters": _LLAMA3}),
    "mistral": ("Mistral", {**_SIZES, "sliding_window": 9}),
    "qwen2": (
        "Qwen2",
        {**_SQUARE, "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen3": ("Qwen3", {**_SIZES, "tie_word_embeddings": True}),
    "gemma": ("Gemma", {**_SIZES, "num_key_value_heads": 1, "head_dim": 32}),
    "gemma2": (
        "Gemma2",
        {
            **_SIZES,
            "sliding_window": 8,
            "query_pre_attn_scalar": 24,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 20.0,
        },
    ),
    "gemma3": (
        "Gemma3",
        {
            **_SIZES,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 8,
            "rope_parameters": {
                "full_attention": _LINEAR,
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        },
    ),
    "phi": ("Phi", {**_SQUARE, "hidden_size": 128}),
    "phi3": ("Phi3", {**_SQUARE, "sliding_window": 11, "pad_token_id": 0}),
    "gpt2": ("GPT2", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}),
}
_CONFIGS = {"Gemma3": "Gemma3TextConfig"}
_CLASSES = {"GPT2": "GPT2LMHeadModel"}


def byte_pairs(**more: Any) -> Any:
    """As Llama 3's: byte-level pieces, and `<s>` before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    make: Any = transformers.PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", **more)


def network(family: str, **changes: Any) -> Any:
    """The library's network of a family; every weight drawn anew, norms and biases included."""
    name, sizes = FAMILIES[family]
    make: Any = getattr(transformers, _CONFIGS.get(name, f"{name}Config"))
    config = make(**{**sizes, "vocab_size": 330, "bos_token_id": 0, "eos_token_id": 1, **changes})
    torch.manual_seed(7)
    module = getattr(transformers, _CLASSES.get(name, f"{name}ForCausalLM"))(config).eval()
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 1.6 * weight.shape[-1] ** -0.5)
            else:
                weight.add_(0.2 * torch.randn_like(weight))
    return module


def save(folder: Path, module: Any, tokenizer: Any, **more: Any) -> Path:
    """`more` goes to the network's `save_pretrained`, e.g. max_shard_size."""
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.save_pretrained(folder, **more)
        tokenizer.save_pretrained(folder)
    return folder
