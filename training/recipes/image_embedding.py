"""Recipe `image-embedding`: vectors by which pictures of one thing find each other."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.networks.settings import ResnetConfig
from training.tasks.embedding_settings import ImageEmbeddingConfig
from training.tasks.image_settings import AugmentConfig


def image_embedding() -> ImageEmbeddingConfig:
    """Emblems are not mirrored: a mirrored one is another emblem."""
    return ImageEmbeddingConfig(
        recipe="image-embedding",
        task="image-embedding",
        name="image-embedding",
        network="resnet",
        resnet=ResnetConfig(depth=9, width=24),
        epochs=20,
        batch_size=128,
        keep="last",
        precision="bf16",
        dropout=0.0,
        optim=OptimConfig(learning_rate=3e-3, weight_decay=0.02, warmup_fraction=0.2),
        augment=AugmentConfig(
            flip_probability=0.0,
            rotate_degrees=10.0,
            smallest=0.85,
            erase_probability=0.3,
            erase_largest=0.15,
        ),
        gates=GateConfig(accuracy_floor=0.8, beats=("pixels",), accuracy_budget=0.01),
        batching=Batching(max_batch_size=32),
    )
