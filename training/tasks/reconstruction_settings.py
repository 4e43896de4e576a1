"""What the recipes that redraw pictures may be told. Apart from the work: reading it needs no torch."""

from typing import Literal

from pydantic import Field

from training.tasks.image_settings import ImageRunConfig, ShapesConfig


class ImageReconstructionConfig(ImageRunConfig):
    """An autoencoder: of noisy pictures, or of pictures as they are."""

    own_data: Literal["digits", "shapes"] = Field(
        default="digits", description="what to learn without --data"
    )
    shapes: ShapesConfig = ShapesConfig()
    width: int = Field(default=32, ge=4, le=1024, description="channels of the first layer")
    latent: int = Field(
        default=16,
        ge=1,
        le=1024,
        description="channels of the narrow middle, whose side is halved so often",
    )
    halvings: int = Field(
        default=2,
        ge=1,
        le=6,
        description="of the picture on the way to the middle; its side must be a multiple of 2 to this power",
    )
    noise_level: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="deviation of the strongest noise it learns to take away, of values in 0–1; 0: a plain "
        "autoencoder",
    )
    beta: float = Field(
        default=0.0,
        ge=0,
        description="variational: pull of the middle towards a normal cloud; 0: none",
    )
    interpolates: bool = Field(
        default=False, description="the graph takes two pictures and draws what lies between them"
    )
