"""Recipe `detection`: objects in pictures, on drawn scenes or on COCO and YOLO data."""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.dense_settings import DenseAugmentConfig, DetectionConfig


def detection() -> DetectionConfig:
    """Digits and shapes are not mirrored: a mirrored 2 is no 2."""
    return DetectionConfig(
        recipe="detection",
        task="object-detection",
        name="detection",
        epochs=10,
        batch_size=32,
        keep="last",
        optim=OptimConfig(learning_rate=2e-3, weight_decay=0.02),
        augment=DenseAugmentConfig(flip_probability=0.0),
        # Boxes are in pixels: a thousandth of one is nothing.
        gates=GateConfig(
            accuracy_floor=0.8, beats=("median-box",), accuracy_budget=0.01, parity_atol=1e-3
        ),
        batching=Batching(max_batch_size=16),
    )
