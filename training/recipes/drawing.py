"""Recipes `image-diffusion`, `image-dcgan` and `image-cgan`: draw pictures like those they learned from."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.drawing_settings import ImageDiffusionConfig


def image_diffusion() -> ImageDiffusionConfig:
    """The clearest and most varied pictures, at the price of many runs of the network for each."""
    return ImageDiffusionConfig(
        recipe="image-diffusion",
        task="image-generation",
        name="image-diffusion",
        epochs=100,
        batch_size=64,
        keep="last",
        cpu_threads=1,
        samples_per_class=100,
        optim=OptimConfig(learning_rate=2e-3, weight_decay=0.01, schedule="cosine"),
        gates=GateConfig(accuracy_floor=0.9, beats=("chance",)),
        batching=Batching(max_batch_size=32),
    )
