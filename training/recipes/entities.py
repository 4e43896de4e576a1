"""Recipe `entities`: people, places and organisations in sentences, or anybody's tagged words."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.text_settings import RecurrentConfig
from training.tasks.token_settings import TokenClassificationConfig


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
        batching=Batching(max_batch_size=32, max_batch_tokens=8192),
    )
