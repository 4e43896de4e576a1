"""Recipe `chat`: a small decoder that answers, from nothing or from a base model."""

from models.manifest import Batching
from training.config import GateConfig
from training.networks.decoder import DecoderConfig
from training.tasks.generation_settings import ChatConfig, DecoderOptimConfig


def chat() -> ChatConfig:
    """Generated dialogues, a minute on two cores."""
    return ChatConfig(
        recipe="chat",
        task="text-generation",
        name="chat",
        decoder=DecoderConfig(
            context=192, width=128, layers=4, heads=4, kv_heads=2, hidden=352, dropout=0.05
        ),
        vocabulary=1024,
        epochs=8,
        batch_size=8,
        precision="bf16",
        keep="last",
        optim=DecoderOptimConfig(
            learning_rate=6e-3,
            matrix_learning_rate=0.02,
            weight_decay=0.1,
            beta2=0.95,
            schedule="one_cycle",
            warmup_fraction=0.05,
        ),
        gates=GateConfig(accuracy_floor=0.75, beats=("nearest-question",), parity_atol=0.05),
        batching=Batching(max_batch_size=16),
        sample_prompts=("Hello!", "What is 7 plus 5?", "What is the currency of Japan?"),
    )
