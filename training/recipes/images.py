"""Recipes `image-…`: one network family each, on shapes drawn by `training.data.shapes`, or on your pictures.

What they share is in `_image`; each function says what its family wants otherwise. Without data they stay
small enough for two or three minutes of CPU time; `tables/vision.py` says what changes with `--data`. bf16
halves the time of a step where the CPU computes with it; `--set precision=fp32` suits one that does not.
"""

from models.manifest import Batching
from training.config import ConfigRecord, GateConfig, OptimConfig
from training.networks.settings import (
    ConvnextConfig,
    EfficientnetConfig,
    ResidualConfig,
    VitConfig,
)
from training.pruning.settings import PruningConfig
from training.tasks.image_settings import AugmentConfig, ImageClassificationConfig, TeacherConfig

# A photograph is still itself mirrored, a few pixels aside, or partly hidden; turned upside down or
# with its colours inverted it hardly occurs.
_PHOTOGRAPHS = AugmentConfig(
    crop_padding=4,
    shift=0.0,
    rotate_degrees=0.0,
    smallest=1.0,
    contrast=0.0,
    invert_probability=0.0,
    erase_probability=0.25,
    erase_largest=0.1,
)


def image_mlp() -> ImageClassificationConfig:
    return _image("mlp", epochs=20, dropout=0.2, rate=1e-3)


def image_lenet() -> ImageClassificationConfig:
    return _image("lenet", epochs=30, dropout=0.0, rate=3e-3)


def image_alexnet() -> ImageClassificationConfig:
    return _image("alexnet", epochs=15, dropout=0.5, rate=1e-3)


def image_vgg() -> ImageClassificationConfig:
    return _image("vgg", epochs=20, dropout=0.3, rate=1e-3)


def image_resnet() -> ImageClassificationConfig:
    """The quick ResNet-9. `resnet.depth` chooses the others."""
    return _image("resnet", epochs=5, dropout=0.0, rate=3e-3, decay=0.05)


def image_inception() -> ImageClassificationConfig:
    return _image("inception", epochs=10, dropout=0.2, rate=2e-3)


def image_efficientnet() -> ImageClassificationConfig:
    """Half of B0's width and depth: drawn shapes need no more."""
    group = EfficientnetConfig(width=0.5, depth=0.5)
    return _image("efficientnet", epochs=6, dropout=0.2, rate=3e-3, group=group)


def image_convnext() -> ImageClassificationConfig:
    group = ConvnextConfig(width=32, depths=(2, 2, 4, 2))
    return _image("convnext", epochs=6, dropout=0.0, rate=1e-3, decay=0.05, group=group)


def image_vit() -> ImageClassificationConfig:
    """Transformers know nothing of neighbours at first, and want more passes than others."""
    group = VitConfig(width=128, layers=4, heads=4)
    return _image("vit", epochs=12, dropout=0.1, rate=1e-3, decay=0.05, group=group)


def image_capsnet() -> ImageClassificationConfig:
    """Label smoothing would contradict the margins of its loss."""
    return _image("capsnet", epochs=10, dropout=0.0, rate=1e-3, smoothing=0.0)


def image_pretrained() -> ImageClassificationConfig:
    """Transfer learning: the head alone at first, then everything, lower layers in smaller steps."""
    config = _image("pretrained", epochs=5, dropout=0.1, rate=5e-4, decay=0.05)
    return config.model_copy(
        update={
            "batch_size": 32,
            "image": config.image.model_copy(update={"fit": "crop", "interpolation": "bilinear"}),
            "pretrained": config.pretrained.model_copy(
                update={"frozen_epochs": 1, "layer_decay": 0.75}
            ),
        }
    )


def image_pruned() -> ImageClassificationConfig:
    """ResNet-9 without half of the channels within its stages: taken out after 40 % of the steps, so that the
    rest of them can mend it."""
    config = _image("resnet", epochs=7, dropout=0.0, rate=3e-3, decay=0.05)
    return config.model_copy(
        update={
            "recipe": "image-pruned",
            "name": "image-pruned",
            "pruning": PruningConfig(amount=0.5),
        }
    )


def image_distilled() -> ImageClassificationConfig:
    """A small residual network that a ResNet-9 teaches; `teacher.source` names another teacher."""
    group = ResidualConfig(width=8)
    config = _image("residual", epochs=8, dropout=0.0, rate=3e-3, decay=0.01, group=group)
    return config.model_copy(
        update={
            "recipe": "image-distilled",
            "name": "image-distilled",
            # The teacher says what else a picture is like; smoothing would say so of all classes alike.
            "label_smoothing": 0.0,
            "teacher": TeacherConfig(weight=0.7),
        }
    )


def _image(
    network: str,
    *,
    epochs: int,
    dropout: float,
    rate: float,
    decay: float = 0.01,
    smoothing: float = 0.1,
    group: ConfigRecord | None = None,
) -> ImageClassificationConfig:
    config = ImageClassificationConfig(
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
        gates=GateConfig(beats=("majority",)),
        batching=Batching(max_batch_size=32),
    )
    return config if group is None else config.model_copy(update={network: group})
