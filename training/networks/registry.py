"""The registry of image networks: a small typed table from name to a lazily imported class.

Read by the settings (which names there are) and by the image works (`build`). Listing it imports no
network. `timm:NAME` stands for every network of timm, `pretrained` for a checkpoint, which the work loads.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from training.tasks.image_settings import ImageNetworkConfig

TIMM_PREFIX = "timm:"
PRETRAINED = "pretrained"


@dataclass(frozen=True)
class Entry:
    """`target` is "module:callable"; it takes channels, side, classes, dropout, and the fields of the
    settings group that has the network's name."""

    name: str
    summary: str
    target: str

    def factory(self) -> "Callable[..., nn.Module]":
        module, _, attribute = self.target.partition(":")
        found: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
        return found


_PACKAGE = "training.networks"
NETWORKS: dict[str, Entry] = {
    name: Entry(name, summary, f"{_PACKAGE}.{target}")
    for name, summary, target in (
        ("residual", "small residual CNN for pictures from 8×8", "residual:ResidualClassifier"),
        ("mlp", "fully connected layers on pixels", "mlp:Mlp"),
        ("lenet", "LeNet-5, 1998", "lenet:LeNet"),
        ("alexnet", "AlexNet, 2012", "alexnet:AlexNet"),
        ("vgg", "VGG-11 to VGG-19, 2014", "vgg:Vgg"),
        ("inception", "GoogLeNet's Inception, 2014", "inception:Inception"),
        ("resnet", "ResNet-18, -34 and -50, 2015, and a quick ResNet-9", "resnet:resnet"),
        ("capsnet", "capsules with dynamic routing, 2017", "capsnet:CapsNet"),
        ("efficientnet", "EfficientNet, 2019", "efficientnet:EfficientNet"),
        ("vit", "Vision Transformer, 2020", "vit:VisionTransformer"),
        ("convnext", "ConvNeXt, 2022", "convnext:ConvNext"),
    )
}
# What the `network` setting may say.
PATTERN = rf"^({'|'.join(NETWORKS)}|{PRETRAINED}|{TIMM_PREFIX}[A-Za-z0-9_.]+)$"


def build(config: "ImageNetworkConfig", *, channels: int, side: int, classes: int) -> "nn.Module":
    """The network that `config` asks for, with fresh weights. Raises UsageError."""
    if config.network.startswith(TIMM_PREFIX):
        from training.networks.image_backbone import timm_network

        name = config.network.removeprefix(TIMM_PREFIX)
        return timm_network(name, channels, side, classes, config.dropout)
    group: Any = getattr(config, config.network)
    settings = {name: getattr(group, name) for name in type(group).model_fields}
    factory = NETWORKS[config.network].factory()
    return factory(
        channels=channels, side=side, classes=classes, dropout=config.dropout, **settings
    )
