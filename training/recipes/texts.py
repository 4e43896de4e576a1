"""Recipes `text-bag` … `text-pretrained`: labelled texts, one network each.

Without data they tell praise from blame in generated opinions, or languages apart (the bag).
"""

from typing import Any, Literal

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import BagConfig, CnnConfig, RecurrentConfig, TransformerConfig
from training.tasks.text_settings import TextClassificationConfig

Network = Literal["bag", "cnn", "rnn", "lstm", "gru", "transformer", "pretrained"]


def text_bag() -> TextClassificationConfig:
    """Word order is not seen; a language shows without it, an opinion made to be told by order does not."""
    return _recipe(
        "bag",
        floor=0.75,
        sentences="phrases",
        epochs=4,
        merge_dropout=0.15,
        bag=BagConfig(width=96),
        optim=_optim(1e-2),
    )


def text_cnn() -> TextClassificationConfig:
    return _recipe("cnn", floor=0.9, cnn=CnnConfig(width=64), optim=_optim(3e-3))


def text_rnn() -> TextClassificationConfig:
    return _recipe("rnn", floor=0.8, recurrent=RecurrentConfig(width=64), optim=_optim(2e-3))


def text_lstm() -> TextClassificationConfig:
    return _recipe("lstm", floor=0.9, recurrent=RecurrentConfig(width=64), optim=_optim(4e-3))


def text_gru() -> TextClassificationConfig:
    return _recipe("gru", floor=0.9, recurrent=RecurrentConfig(width=64), optim=_optim(4e-3))


def text_transformer() -> TextClassificationConfig:
    return _recipe(
        "transformer",
        floor=0.85,
        epochs=20,
        transformer=TransformerConfig(width=64, layers=2, heads=4, inner=128),
        optim=_optim(2e-3),
    )


def text_pretrained() -> TextClassificationConfig:
    """Without a checkpoint it starts from random weights made on the spot, to show the way."""
    return _recipe(
        "pretrained",
        floor=0.6,
        batch_size=32,
        optim=_optim(3e-3),
    )


def _recipe(network: Network, *, floor: float, **fields: Any) -> TextClassificationConfig:
    defaults: dict[str, Any] = {
        "epochs": 15,
        "batch_size": 64,
        "cpu_threads": 1,
        "dropout": 0.2,
        "merge_dropout": 0.0,
        "keep": "last",
        "sentences": "opinions",
    }
    return TextClassificationConfig(
        recipe=f"text-{network}",
        task="text-classification",
        name=f"text-{network}",
        network=network,
        gates=GateConfig(accuracy_floor=floor, beats=("majority",)),
        batching=Batching(max_batch_size=64, max_batch_tokens=16_384),
        **(defaults | fields),
    )


def _optim(learning_rate: float) -> OptimConfig:
    return OptimConfig(learning_rate=learning_rate)
