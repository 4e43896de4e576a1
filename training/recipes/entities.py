"""Recipes `entities` and `entities-pretrained`: people, places and organisations, or anybody's tags."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import RecurrentConfig
from training.tasks.token_settings import SentencesConfig, TokenClassificationConfig

_BATCHING = Batching(max_batch_size=32, max_batch_tokens=8192)


def entities() -> TokenClassificationConfig:
    """A bidirectional GRU over small pieces of words: a name that was never seen is made of pieces that
    were, and whole names would be learned by heart."""
    return TokenClassificationConfig(
        recipe="entities",
        task="token-classification",
        name="entities",
        network="gru",
        recurrent=RecurrentConfig(width=96, units=96, layers=2),
        epochs=3,
        batch_size=32,
        cpu_threads=1,
        dropout=0.4,
        vocabulary=400,
        optim=OptimConfig(learning_rate=4e-3),
        gates=GateConfig(accuracy_floor=0.8, beats=("commonest-tag",)),
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
        gates=GateConfig(accuracy_floor=0.5, beats=("commonest-tag",)),
        batching=_BATCHING,
    )
