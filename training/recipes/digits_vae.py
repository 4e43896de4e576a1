"""Recipe `digits-vae`: draws handwritten digits of a requested class."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.drawing_settings import ImageGenerationConfig


def digits_vae() -> ImageGenerationConfig:
    """Small enough to draw thousands of pictures a second on one core."""
    return ImageGenerationConfig(
        recipe="digits-vae",
        task="image-generation",
        name="digits-vae",
        epochs=120,
        batch_size=64,
        keep="last",
        cpu_threads=1,
        beta=0.4,
        optim=OptimConfig(learning_rate=2e-3, weight_decay=0.01),
        gates=GateConfig(accuracy_floor=0.85, beats=("chance",), accuracy_budget=0.01),
        batching=Batching(max_batch_size=64),
    )
