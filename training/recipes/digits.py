"""Recipe `digits`: a small residual CNN on scikit-learn's digits, or on any image folder."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.image_settings import AugmentConfig, ImageClassificationConfig, ImageConfig


def digits() -> ImageClassificationConfig:
    """For what people send: drawings anywhere on a page, black on white or white on black."""
    return ImageClassificationConfig(
        recipe="digits",
        task="image-classification",
        name="digits",
        epochs=80,
        batch_size=64,
        keep="last",
        cpu_threads=1,
        image=ImageConfig(fit="content"),
        optim=OptimConfig(learning_rate=4e-3, weight_decay=0.02),
        augment=AugmentConfig(shift=0.08, rotate_degrees=10.0, smallest=0.85, contrast=0.3),
        gates=GateConfig(accuracy_floor=0.97, beats=("majority",)),
        batching=Batching(max_batch_size=64),
    )
