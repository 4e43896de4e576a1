"""Recipes `entities` and `entities-pretrained`: people, places and organisations, or anybody's tags."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import RecurrentConfig
from training.tasks.token_settings import SentencesConfig, TokenClassificationConfig

_BATCHING = Batching(max_batch_size=32, max_batch_tokens=8192)


def entities() -> TokenClassificationConfig:
    """A bidirectional LSTM: enough where a name is told by its letters and its nearest words."""
    return TokenClassificationConfig(
        recipe="entities",
        task="token-classification",
        name="entities",
        network="lstm",
        recurrent=RecurrentConfig(width=96, units=96, layers=2),
        epochs=4,
        batch_size=32,
        cpu_threads=1,
        dropout=0.25,
        vocabulary=2048,
        optim=OptimConfig(learning_rate=4e-3),
        gates=GateConfig(accuracy_floor=0.9, beats=("commonest-tag",)),
        batching=_BATCHING,
    )


def entities_pretrained() -> TokenClassificationConfig:
    """Without a checkpoint it starts from random weights made on the spot, to show the way."""
    return TokenClassificationConfig(
        recipe="entities-pretrained",
        task="token-classification",
        name="entities-pretrained",
        network="pretrained",
        epochs=4,
        batch_size=32,
        cpu_threads=1,
        sentences=SentencesConfig(train=3000),
        max_tokens=128,
        optim=OptimConfig(learning_rate=3e-3),
        gates=GateConfig(accuracy_floor=0.6, beats=("commonest-tag",)),
        batching=_BATCHING,
    )
