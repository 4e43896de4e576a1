"""Recipe `language-id`: which language is this phrase; or the classes of any labelled text."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.text_settings import TextClassificationConfig


def language_id() -> TextClassificationConfig:
    """Few passes at a high rate: more passes learn the training phrases by heart."""
    return TextClassificationConfig(
        recipe="language-id",
        task="text-classification",
        name="language-id",
        epochs=3,
        batch_size=128,
        cpu_threads=1,
        optim=OptimConfig(learning_rate=5e-3),
        gates=GateConfig(accuracy_floor=0.85, beats=("majority",)),
        batching=Batching(max_batch_size=64, max_batch_tokens=16_384),
    )
