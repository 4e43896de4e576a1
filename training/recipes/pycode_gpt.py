"""Recipe `pycode-gpt`: a small decoder transformer on Python's own sources, or on any text."""

from models.manifest import Batching
from training.config import GateConfig
from training.networks.decoder import DecoderConfig
from training.tasks.generation_settings import DecoderOptimConfig, TextGenerationConfig


def pycode_gpt() -> TextGenerationConfig:
    """Sized for two minutes on two cores."""
    return TextGenerationConfig(
        recipe="pycode-gpt",
        task="text-generation",
        name="pycode-gpt",
        decoder=DecoderConfig(context=256, width=192, layers=4, heads=6, kv_heads=2, hidden=512),
        vocabulary=2048,
        isolate_documents=False,
        epochs=5,
        epoch_windows=896,
        batch_size=8,
        precision="bf16",
        optim=DecoderOptimConfig(
            learning_rate=6e-3,
            matrix_learning_rate=0.03,
            weight_decay=0.1,
            beta2=0.95,
            schedule="one_cycle",
            warmup_fraction=0.05,
        ),
        gates=GateConfig(beats=("order-3-bytes",), parity_atol=0.05),
        batching=Batching(max_batch_size=16),
        sample_prompts=("def ", "import ", "class ", "    for i in range("),
    )
