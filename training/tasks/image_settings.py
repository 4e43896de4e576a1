"""What the image recipes may be told. Apart from the works, so that reading it needs no torch."""

from typing import Literal

from pydantic import Field

from training.config import ConfigRecord, RunConfig


class ImageConfig(ConfigRecord):
    """How pictures become tensors."""

    side: int = Field(
        default=0, ge=0, le=256, description="pixels; 0 takes the data's own size up to `largest`"
    )
    largest: int = Field(default=64, ge=8, le=256, description="upper limit of the data's own size")
    channels: Literal["auto", "L", "RGB"] = Field(
        default="auto", description="grey or colour; auto: grey when no picture has colour"
    )
    interpolation: Literal["box", "bilinear", "bicubic", "lanczos"] = Field(
        default="box", description="how pictures are resized, here and by the server"
    )
    fit: Literal["stretch", "crop", "pad", "content"] = Field(
        default="stretch",
        description="what happens to pictures of another size; content suits drawings and scans",
    )


class AugmentConfig(ConfigRecord):
    """Random changes of training pictures; each is drawn anew for every picture."""

    shift: float = Field(default=0.1, ge=0, le=0.5, description="largest shift, part of the side")
    rotate_degrees: float = Field(default=10.0, ge=0, le=180, description="largest rotation")
    smallest: float = Field(
        default=0.8, gt=0, le=1, description="least size of the content, e.g. a drawing's margins"
    )
    contrast: float = Field(default=0.3, ge=0, lt=1, description="largest loss of contrast")
    flip_probability: float = Field(
        default=0.5, ge=0, le=1, description="mirror left and right; colour pictures only"
    )
    invert_probability: float = Field(
        default=0.5, ge=0, le=1, description="swap black and white; grey pictures only"
    )


class ImageRunConfig(RunConfig):
    """What every run on labelled pictures may be told."""

    image: ImageConfig = ImageConfig()
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="part of the training pictures kept for validation"
    )


class ImageClassificationConfig(ImageRunConfig):
    """A residual CNN on small pictures."""

    augment: AugmentConfig = AugmentConfig()
    width: int = Field(default=32, ge=4, le=512, description="channels of the first stage")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="before the last layer")
    label_smoothing: float = Field(default=0.05, ge=0, lt=1, description="softens the targets")
    top_k: int = Field(default=3, ge=1, le=1000, description="labels in an answer by default")


class ImageGenerationConfig(ImageRunConfig):
    """A conditional variational autoencoder on small pictures."""

    latent: int = Field(default=16, ge=1, le=4096, description="numbers that describe one picture")
    hidden: int = Field(default=256, ge=8, le=8192, description="units of the hidden layers")
    beta: float = Field(
        default=1.0, gt=0, description="weight of the latent term: higher is cleaner and duller"
    )
    judge_epochs: int = Field(
        default=20, ge=1, description="training of the classifier that judges the pictures"
    )
    samples_per_class: int = Field(
        default=200, ge=1, description="pictures of each class that are judged"
    )
