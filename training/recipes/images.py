"""Recipes `image-…`: one network family each, on shapes drawn by `training.data.shapes`, or on your pictures.

What they share is in `_image`; each function says what its family wants otherwise. bf16 halves the time
of a step where the CPU computes with it; `--set precision=fp32` suits one that does not.
"""

from models.manifest import Batching
from training.config import GateConfig, OptimConfig
from training.tasks.image_settings import AugmentConfig, ImageClassificationConfig

# A photograph is still itself mirrored or a few pixels aside; turned or darkened it hardly occurs.
_PHOTOGRAPHS = AugmentConfig(shift=0.12, rotate_degrees=0.0, smallest=1.0, contrast=0.0)


def image_mlp() -> ImageClassificationConfig:
    return _image("mlp", epochs=20, floor=0.3, dropout=0.2, rate=1e-3)


def image_lenet() -> ImageClassificationConfig:
    return _image("lenet", epochs=30, floor=0.6, dropout=0.0, rate=3e-3)


def image_alexnet() -> ImageClassificationConfig:
    return _image("alexnet", epochs=15, floor=0.8, dropout=0.5, rate=1e-3)


def image_vgg() -> ImageClassificationConfig:
    return _image("vgg", epochs=10, floor=0.8, dropout=0.3, rate=1e-3)


def image_resnet() -> ImageClassificationConfig:
    """The quick ResNet-9. `resnet.depth` chooses the others."""
    return _image("resnet", epochs=5, floor=0.9, dropout=0.0, rate=3e-3, decay=0.05)


def image_inception() -> ImageClassificationConfig:
    return _image("inception", epochs=10, floor=0.8, dropout=0.2, rate=2e-3)


def image_efficientnet() -> ImageClassificationConfig:
    return _image("efficientnet", epochs=10, floor=0.6, dropout=0.2, rate=2e-3)


def image_convnext() -> ImageClassificationConfig:
    return _image("convnext", epochs=10, floor=0.6, dropout=0.0, rate=1e-3, decay=0.05)


def image_vit() -> ImageClassificationConfig:
    """Transformers know nothing of neighbours at first, and want more pictures than others."""
    return _image("vit", epochs=20, floor=0.6, dropout=0.1, rate=1e-3, decay=0.05)


def image_capsnet() -> ImageClassificationConfig:
    return _image("capsnet", epochs=10, floor=0.6, dropout=0.0, rate=1e-3, smoothing=0.0)


def image_pretrained() -> ImageClassificationConfig:
    """Transfer learning: the head alone at first, then everything, lower layers in smaller steps."""
    config = _image("resnet", epochs=5, floor=0.6, dropout=0.1, rate=5e-4, decay=0.05)
    return config.model_copy(
        update={
            "recipe": "image-pretrained",
            "name": "image-pretrained",
            "network": "pretrained",
            "image": config.image.model_copy(update={"fit": "crop", "interpolation": "bilinear"}),
            "pretrained": config.pretrained.model_copy(
                update={"frozen_epochs": 1, "layer_decay": 0.75}
            ),
            "batch_size": 32,
        }
    )


def _image(
    network: str,
    *,
    epochs: int,
    floor: float,
    dropout: float,
    rate: float,
    decay: float = 0.01,
    smoothing: float = 0.1,
) -> ImageClassificationConfig:
    return ImageClassificationConfig(
        recipe=f"image-{network}",
        task="image-classification",
        name=f"image-{network}",
        network=network,
        own_data="shapes",
        epochs=epochs,
        batch_size=64,
        keep="last",
        precision="bf16",
        optim=OptimConfig(learning_rate=rate, weight_decay=decay, warmup_fraction=0.2),
        augment=_PHOTOGRAPHS,
        dropout=dropout,
        label_smoothing=smoothing,
        gates=GateConfig(accuracy_floor=floor, beats=("majority",)),
        batching=Batching(max_batch_size=32),
    )
