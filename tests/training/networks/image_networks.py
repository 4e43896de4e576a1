"""The image networks as the tests build them: small, from the settings that people use."""

from torch import nn

from training.networks import registry
from training.settings import with_settings
from training.tasks.image_settings import ImageClassificationConfig

# What makes each family small enough to be looked at in a blink.
SMALL: dict[str, tuple[str, ...]] = {
    "residual": ("residual.width=4",),
    "mlp": ("mlp.hidden=16,8",),
    "lenet": (),
    "alexnet": ("alexnet.width=6", "alexnet.hidden=16"),
    "vgg": ("vgg.width=4", "vgg.hidden=16"),
    "inception": ("inception.width=0.05",),
    "resnet": ("resnet.width=4",),
    "capsnet": ("capsnet.width=8", "capsnet.maps=1"),
    "efficientnet": ("efficientnet.width=0.2", "efficientnet.depth=0.3"),
    "vit": ("vit.width=12", "vit.layers=2"),
    "convnext": ("convnext.width=4", "convnext.depths=1,1,1,1"),
}


def small_config(name: str, *more: str) -> ImageClassificationConfig:
    config = ImageClassificationConfig(
        recipe="x", task="image-classification", name="x", epochs=1, batch_size=8
    )
    return with_settings(config, [f"network={name}", *SMALL.get(name, ()), *more])


def small_network(name: str, channels: int, side: int, *more: str, classes: int = 5) -> nn.Module:
    config = small_config(name, *more)
    return registry.build(config, channels=channels, side=side, classes=classes)
