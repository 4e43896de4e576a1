"""What visual anomaly detection may be told. Apart from the work, so that reading it needs no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord, RunConfig
from training.tasks.dense_settings import CanvasConfig


class SurfacesConfig(ConfigRecord):
    """The recipe's own data, drawn cloth; unused with `--data`."""

    train: int = Field(default=240, ge=4, description="good pictures to learn from")
    validation: int = Field(default=80, ge=2, description="good pictures to settle the threshold")
    test: int = Field(default=150, ge=2, description="good pictures to be judged on")
    bad: int = Field(default=150, ge=5, description="pictures with defects to be judged on")
    side: int = Field(default=96, ge=32, le=512, multiple_of=16, description="pixels")


class AnomalyConfig(RunConfig):
    """A detector of what good pictures never show."""

    canvas: CanvasConfig = CanvasConfig(fit="stretch")
    surfaces: SurfacesConfig = SurfacesConfig()
    method: Literal["features", "autoencoder"] = Field(
        default="features",
        description="features: how far a place's features are from all that good pictures have; "
        "autoencoder: how badly a network that learned good pictures can redraw it",
    )
    width: int = Field(
        default=24, ge=4, le=256, description="channels of the first convolutions; later ones more"
    )
    latent: int = Field(
        default=16,
        ge=1,
        le=512,
        description="autoencoder: numbers that are left of each 16×16 pixels; few, or it copies defects",
    )
    memory: int = Field(
        default=600, ge=8, le=20_000, description="features: places of good pictures remembered"
    )
    neighbours: int = Field(
        default=3, ge=1, le=50, description="features: nearest remembered places that are averaged"
    )
    smoothing: float = Field(
        default=1.5, gt=0, le=16, description="pixels: deviation of the blur of the map"
    )
    threshold_quantile: float = Field(
        default=0.98,
        gt=0.5,
        le=1,
        description="part of the good validation pictures that the threshold lets pass",
    )
    validation_fraction: float = Field(
        default=0.15, gt=0, lt=1, description="part of the good pictures that settle the threshold"
    )

    @model_validator(mode="after")
    def _neighbours_are_remembered(self) -> Self:
        if self.neighbours > self.memory:
            raise ValueError(
                f"neighbours {self.neighbours} must be among the {self.memory} places of memory"
            )
        return self
