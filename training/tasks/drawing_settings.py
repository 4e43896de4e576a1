"""What the recipes that draw pictures may be told. Apart from the works: reading it needs no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord
from training.tasks.image_settings import ImageRunConfig, ShapesConfig


class DrawingConfig(ImageRunConfig):
    """Base of all that draw: how they are judged."""

    own_data: Literal["digits", "shapes"] = Field(
        default="digits", description="what to learn without --data"
    )
    shapes: ShapesConfig = ShapesConfig()
    judge_epochs: int = Field(
        default=20, ge=1, description="training of the classifier that judges the pictures"
    )
    samples_per_class: int = Field(
        default=200, ge=4, description="pictures of each class that are judged"
    )


class ImageGenerationConfig(DrawingConfig):
    """A conditional variational autoencoder on small pictures."""

    latent: int = Field(default=16, ge=1, le=4096, description="numbers that describe one picture")
    hidden: int = Field(default=256, ge=8, le=8192, description="units of the hidden layers")
    beta: float = Field(
        default=1.0, gt=0, description="weight of the latent term: higher is cleaner and duller"
    )


class UnetConfig(ConfigRecord):
    """The network of a diffusion model."""

    width: int = Field(default=32, ge=4, le=1024, description="channels at the picture's full size")
    depth: int = Field(
        default=1,
        ge=0,
        le=5,
        description="halvings of the picture, each with twice the channels; its side must be a multiple "
        "of 2 to this power",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="units left out while learning")


class ImageDiffusionConfig(DrawingConfig):
    """A diffusion model that is guided by the class."""

    unet: UnetConfig = UnetConfig()
    formulation: Literal["flow", "ddpm"] = Field(
        default="flow",
        description="flow: a straight path from noise to picture, the network tells its velocity "
        "(flow matching); ddpm: a cosine path, the network tells the noise",
    )
    class_dropout: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="part of the training pictures whose class is withheld: what guidance compares with",
    )
    average_decay: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="memory of the averaged weights, which are judged and published; 0: no average",
    )
    sampler: Literal["euler", "heun"] = Field(
        default="euler",
        description="steps from noise to picture when a caller does not say: euler (DDIM for ddpm) runs "
        "the graph once a step, heun twice",
    )
    steps: int = Field(default=20, ge=1, le=1000, description="when a caller does not say")
    max_steps_served: int = Field(
        default=250, ge=1, le=10_000, description="the most steps a caller may ask for"
    )
    guidance_scale: float = Field(
        default=2.0,
        ge=0,
        le=20,
        description="when a caller does not say: 1 as learned, above that clearer and less varied",
    )


class CriticConfig(ConfigRecord):
    """How the critic of an adversarial network is kept in step with its generator."""

    spectral_norm: bool = Field(
        default=True,
        description="hold every layer of the critic to slope 1: steadier, a little slower",
    )
    r1_weight: float = Field(
        default=0.0,
        ge=0,
        description="pull of the critic's slope at real pictures to 0, for a second pass back; 0: none",
    )
    learning_rate_factor: float = Field(
        default=2.0,
        gt=0,
        description="the critic's step size as a multiple of the generator's (two time scales)",
    )
    turns: int = Field(
        default=1, ge=1, le=16, description="steps of the critic for one of the generator"
    )


class ImageGanConfig(DrawingConfig):
    """An adversarial network, conditional (told the class) or not."""

    conditional: bool = Field(default=True, description="whether a class can be asked for")
    latent: int = Field(
        default=32, ge=1, le=4096, description="numbers of noise a picture is made of"
    )
    width: int = Field(default=24, ge=4, le=1024, description="channels at the picture's full size")
    depth: int = Field(
        default=2,
        ge=1,
        le=6,
        description="doublings from the smallest map to the picture, whose side must be a multiple of 2 to "
        "this power",
    )
    critic: CriticConfig = CriticConfig()
    loss: Literal["hinge", "logistic"] = Field(
        default="hinge", description="hinge goes well with spectral norm, logistic with R1"
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=0.5,
        description="loss logistic alone: what real pictures lack of being called certainly real",
    )
    average_decay: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="memory of the averaged generator, which is judged and published; 0: no average",
    )

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> Self:
        if self.label_smoothing and self.loss != "logistic":
            raise ValueError("label_smoothing is for loss=logistic")
        if self.accumulate_batches != 1:
            raise ValueError("accumulate_batches must be 1: both networks step at every batch")
        if self.precision == "fp16":
            raise ValueError("precision fp16 is not for adversarial networks: set bf16 or fp32")
        return self
