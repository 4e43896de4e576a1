"""What the recipes that look into pictures may be told. Apart from the works, so that reading it needs no
torch."""

from typing import Literal

from pydantic import Field

from training.config import ConfigRecord, RunConfig


class CanvasConfig(ConfigRecord):
    """The square that every picture is laid on; the graph's input has this fixed size, in colour."""

    side: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="pixels; 0 takes the data's own size, rounded to 32, up to `largest`",
    )
    largest: int = Field(default=256, ge=32, le=1024, description="upper limit of the data's size")
    fit: Literal["pad", "stretch"] = Field(
        default="pad",
        description="keep a picture's proportions and add black borders, or stretch it",
    )
    interpolation: Literal["box", "bilinear", "bicubic", "lanczos"] = Field(
        default="bilinear", description="how pictures are resized, here and by the server"
    )


class ScenesConfig(ConfigRecord):
    """The scenes that are drawn when there is no data."""

    train: int = Field(default=3000, ge=4, description="scenes to learn from")
    validation: int = Field(default=200, ge=1, description="scenes to validate with")
    test: int = Field(default=300, ge=3, description="scenes to be judged on")
    side: int = Field(default=96, ge=32, le=512, description="pixels")
    things: Literal["all", "shapes"] = Field(
        default="all", description="digits and shapes, or shapes alone, which are learned sooner"
    )


class DenseAugmentConfig(ConfigRecord):
    """Random changes of training pictures, of their boxes and masks too; drawn anew for every picture."""

    shift: float = Field(default=0.1, ge=0, le=0.5, description="largest shift, part of the side")
    smallest: float = Field(default=0.8, gt=0, le=1, description="least enlargement")
    largest: float = Field(default=1.25, ge=1, le=4, description="most enlargement")
    flip_probability: float = Field(default=0.5, ge=0, le=1, description="mirror left and right")
    contrast: float = Field(default=0.3, ge=0, lt=1, description="largest loss of contrast")
    colour: float = Field(
        default=0.1, ge=0, lt=1, description="largest change of a colour channel, part of its value"
    )


class DenseRunConfig(RunConfig):
    """What every run that looks into pictures may be told."""

    canvas: CanvasConfig = CanvasConfig()
    scenes: ScenesConfig = ScenesConfig()
    augment: DenseAugmentConfig = DenseAugmentConfig()
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="part of the training pictures kept for validation"
    )


class DetectionConfig(DenseRunConfig):
    """A one-stage, anchor-free detector."""

    width: int = Field(default=24, ge=4, le=256, description="channels of the first convolution")
    features: int = Field(
        default=64, ge=8, le=512, multiple_of=8, description="channels of the pyramid and the head"
    )
    levels: int = Field(
        default=3, ge=1, le=5, description="feature maps, at strides 8, 16, 32 … pixels"
    )
    score_threshold: float = Field(
        default=0.3, ge=0, le=1, description="least score of an object in an answer by default"
    )
    iou_threshold: float = Field(
        default=0.5, gt=0, le=1, description="overlap from which on two of a class are one"
    )
    max_detections: int = Field(default=100, ge=1, le=1000, description="objects in an answer")


class SegmentationConfig(DenseRunConfig):
    """A class for every pixel."""

    network: Literal["unet", "segformer"] = Field(
        default="unet", description="convolutions (U-Net), or a pyramid of transformers (SegFormer)"
    )
    width: int = Field(
        default=16,
        ge=4,
        le=256,
        multiple_of=4,
        description="channels at full size (U-Net) or of the first stage (SegFormer: 32 is its B0)",
    )
    depth: int = Field(
        default=3,
        ge=1,
        le=6,
        description="halvings of the picture (U-Net), or layers of each of four stages (SegFormer: 2 is B0)",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="channels left out between encoder and decoder"
    )
    dice_weight: float = Field(
        default=1.0, ge=0, le=100, description="weight of the overlap beside the cross-entropy"
    )
