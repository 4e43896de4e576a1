"""Recipes `translation`, `translation-gru` and `summarization`: one text in, another out."""

from typing import Any

from models.manifest import Batching
from training.config import GateConfig
from training.networks.seq2seq_settings import RecurrentSeq2SeqConfig, TransformerSeq2SeqConfig
from training.tasks.generation_settings import DecoderOptimConfig
from training.tasks.text_to_text_settings import TextToTextConfig


def translation() -> TextToTextConfig:
    return _recipe(
        "translation",
        kind="translation",
        transformer=TransformerSeq2SeqConfig(
            width=128, encoder_layers=2, decoder_layers=2, heads=4, kv_heads=4, hidden=256
        ),
        gates=_gates(60.0, "copy-source", "nearest-source"),
    )


def translation_gru() -> TextToTextConfig:
    """The classic, to compare with."""
    return _recipe(
        "translation-gru",
        kind="translation",
        network="recurrent",
        recurrent=RecurrentSeq2SeqConfig(width=96, units=128),
        gates=_gates(50.0, "copy-source", "nearest-source"),
    )


def summarization() -> TextToTextConfig:
    return _recipe(
        "summarization",
        kind="summarization",
        transformer=TransformerSeq2SeqConfig(
            width=128, encoder_layers=2, decoder_layers=2, heads=4, kv_heads=4, hidden=256
        ),
        epochs=4,
        batch_size=4096,
        max_source_tokens=192,
        max_answer_tokens=48,
        gates=_gates(0.7, "copy-source", "nearest-source", "first-sentence", budget=0.01),
    )


def _recipe(name: str, **fields: Any) -> TextToTextConfig:
    """Sized for generated texts and two minutes on two cores; `Recipe.own_data` holds what real ones want."""
    defaults: dict[str, Any] = {
        "epochs": 8,
        "batch_size": 2048,
        "vocabulary": 1200,
        "max_source_tokens": 96,
        "max_answer_tokens": 96,
        "keep": "last",
        "optim": _optim(),
    }
    return TextToTextConfig(
        recipe=name,
        task="text-to-text",
        name=name,
        batching=Batching(max_batch_size=16),
        **(defaults | fields),
    )


def _optim(**fields: Any) -> DecoderOptimConfig:
    defaults: dict[str, Any] = {
        "learning_rate": 4e-3,
        "matrix_learning_rate": 0.02,
        "weight_decay": 0.05,
        "beta2": 0.98,
        "schedule": "one_cycle",
        "warmup_fraction": 0.1,
    }
    return DecoderOptimConfig(**(defaults | fields))


def _gates(floor: float, *beats: str, budget: float = 0.5) -> GateConfig:
    # Trained logits reach 10, and the float16 caches move single ones by up to 0.05.
    return GateConfig(accuracy_floor=floor, beats=beats, parity_atol=0.15, accuracy_budget=budget)
