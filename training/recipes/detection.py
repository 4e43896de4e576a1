"""Recipe `detection`: objects in pictures, on drawn scenes or on COCO and YOLO data."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.dense_settings import DenseAugmentConfig, DetectionConfig


def detection() -> DetectionConfig:
    """Digits and shapes are not mirrored: a mirrored 2 is no 2."""
    return DetectionConfig(
        recipe="detection",
        task="object-detection",
        name="scene-detector",
        epochs=12,
        batch_size=32,
        keep="last",
        optim=OptimConfig(learning_rate=2e-3, weight_decay=0.02),
        augment=DenseAugmentConfig(flip_probability=0.0),
        gates=GateConfig(accuracy_floor=0.8, beats=("median-box",), accuracy_budget=0.01),
        batching=Batching(max_batch_size=16),
    )
