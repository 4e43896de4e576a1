"""What each image network may be told, a group a family. Apart from the networks: no torch here.

A group's fields are the keyword arguments of its network's constructor (`training.networks.registry`
builds one from the other). Defaults suit small pictures; the paper's own figures stand beside them.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord


class ResidualConfig(ConfigRecord):
    """The small residual CNN, for pictures from 8×8."""

    width: int = Field(default=32, ge=4, le=512, description="channels of the first stage")


class MlpConfig(ConfigRecord):
    """Layers of units that see the whole picture."""

    hidden: tuple[int, ...] = Field(
        default=(512, 256), min_length=1, description="units of each hidden layer"
    )


class LenetConfig(ConfigRecord):
    """LeNet-5."""

    activation: Literal["tanh", "relu"] = Field(
        default="tanh", description="tanh is the paper's; relu learns faster"
    )


class AlexnetConfig(ConfigRecord):
    """AlexNet."""

    width: int = Field(
        default=48, ge=4, le=256, description="channels of the first layer; the paper's are 96"
    )
    hidden: int = Field(
        default=512, ge=8, le=8192, description="units of both hidden layers; the paper's are 4096"
    )


class VggConfig(ConfigRecord):
    """VGG with batch norm."""

    depth: Literal[11, 13, 16, 19] = Field(default=11, description="layers with weights")
    width: int = Field(
        default=32, ge=4, le=256, description="channels of the first stage; the paper's are 64"
    )
    hidden: int = Field(
        default=256, ge=8, le=8192, description="units of both hidden layers; the paper's are 4096"
    )


class ResnetConfig(ConfigRecord):
    """ResNet: the papers' 18, 34 and 50 layers, or the quick 9."""

    depth: Literal[9, 18, 34, 50] = Field(default=9, description="layers with weights")
    width: int = Field(
        default=48, ge=4, le=256, description="channels of the first stage; the paper's are 64"
    )


class InceptionConfig(ConfigRecord):
    """GoogLeNet's Inception with batch norm."""

    width: float = Field(
        default=0.5, gt=0, le=2, description="channels, as part of the paper's; 1 is GoogLeNet"
    )


class EfficientnetConfig(ConfigRecord):
    """EfficientNet by compound scaling from B0."""

    width: float = Field(
        default=1.0, gt=0, le=4, description="width coefficient: B0 1.0, B1 1.0, B2 1.1, B3 1.2"
    )
    depth: float = Field(
        default=1.0, gt=0, le=4, description="depth coefficient: B0 1.0, B1 1.1, B2 1.2, B3 1.4"
    )
    drop_connect: float = Field(
        default=0.1, ge=0, lt=1, description="dropout inside the last block; blocks before it less"
    )


class ConvnextConfig(ConfigRecord):
    """ConvNeXt."""

    width: int = Field(
        default=48, ge=4, le=512, description="channels of the first stage; Tiny's are 96"
    )
    depths: tuple[int, int, int, int] = Field(
        default=(2, 2, 6, 2), description="blocks of each stage; Tiny's are 3,3,9,3"
    )
    drop_path: float = Field(
        default=0.1, ge=0, lt=1, description="how often the last block is left out; others less"
    )


class VitConfig(ConfigRecord):
    """Vision Transformer."""

    patch: int = Field(
        default=0, ge=0, le=64, description="side of a patch in pixels; 0: 8 patches to a row"
    )
    width: int = Field(
        default=192, ge=8, le=1280, description="numbers that describe a patch; Base's are 768"
    )
    layers: int = Field(default=6, ge=1, le=32, description="transformer blocks; Base's are 12")
    heads: int = Field(default=3, ge=1, le=20, description="attention heads; Base's are 12")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"vit.width {self.width} is no multiple of vit.heads {self.heads}")
        return self


class CapsnetConfig(ConfigRecord):
    """CapsNet with dynamic routing."""

    width: int = Field(
        default=64, ge=4, le=512, description="channels of the first layer; the paper's are 256"
    )
    maps: int = Field(
        default=8, ge=1, le=64, description="maps of primary capsules; the paper's are 32"
    )
    capsule: int = Field(
        default=16, ge=2, le=64, description="numbers in a class capsule, as in the paper"
    )
    routing: int = Field(
        default=3, ge=1, le=10, description="rounds of routing by agreement, as in the paper"
    )
    reconstruction: float = Field(
        default=0.04,
        ge=0,
        description="weight of the mean squared error of redrawing the normalised picture from the "
        "class capsule; the paper's 0.0005 of a sum over 784 pixels is about this",
    )
