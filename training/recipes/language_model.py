"""Recipe `language-model`: a decoder transformer on any text."""

from models.manifest import Batching
from training.config import GateConfig
from training.networks.decoder import DecoderConfig
from training.tasks.generation_settings import DecoderOptimConfig, TextGenerationConfig


def language_model() -> TextGenerationConfig:
    """Three minutes on two cores; Python's sources where no other text is given."""
    return TextGenerationConfig(
        recipe="language-model",
        task="text-generation",
        name="language-model",
        decoder=DecoderConfig(
            context=256, width=256, layers=4, heads=4, kv_heads=4, hidden=704, dropout=0.0
        ),
        vocabulary=1024,
        epochs=5,
        epoch_windows=640,
        batch_size=8,
        validation_windows=24,
        judged_overlap=0.5,
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
        gates=GateConfig(beats=("order-3-bytes",), parity_atol=0.05),
        batching=Batching(max_batch_size=16),
        sample_prompts=("\n", "The ", "I "),
    )
