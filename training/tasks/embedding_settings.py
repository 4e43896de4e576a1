"""What image embedding may be told. Apart from the work, so that reading it needs no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord
from training.tasks.image_settings import ImageNetworkConfig


class EmblemsConfig(ConfigRecord):
    """The recipe's own data, drawn emblems; unused with `--data`."""

    identities: int = Field(default=160, ge=4, le=5000, description="emblems to learn from")
    validation: int = Field(
        default=40, ge=2, le=5000, description="other emblems, to validate with"
    )
    test: int = Field(default=80, ge=2, le=5000, description="other emblems, to be judged on")
    pictures: int = Field(default=12, ge=2, le=1000, description="pictures of each emblem")
    side: int = Field(default=32, ge=16, le=128, description="pixels")


class ImageEmbeddingConfig(ImageNetworkConfig):
    """A network whose vectors lie close for pictures of the same thing."""

    emblems: EmblemsConfig = EmblemsConfig()
    dimensions: int = Field(default=64, ge=2, le=4096, description="numbers in a vector")
    loss: Literal["contrastive", "arcface"] = Field(
        default="contrastive",
        description="contrastive: pictures of one identity attract, all others of the batch repel each "
        "other; arcface: each identity has a centre, to be met with a margin of angle",
    )
    temperature: float = Field(
        default=0.1, gt=0, le=10, description="of the contrastive loss: lower minds hard pairs more"
    )
    scale: float = Field(
        default=24.0, gt=0, description="of ArcFace: what cosines are multiplied by"
    )
    margin: float = Field(default=0.3, ge=0, lt=1.5, description="of ArcFace: radians")
    pictures_per_identity: int = Field(
        default=4,
        ge=2,
        description="pictures of one identity in a batch; batch_size / this is its identities",
    )
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="part of the identities held out, where none are named"
    )
    false_accept_rate: float = Field(
        default=0.01,
        gt=0,
        lt=0.5,
        description="part of the validation pairs of different identities that may pass for the same: "
        "settles the threshold",
    )
    gallery: Literal["identities", "pictures", "none"] = Field(
        default="identities",
        description="what is shipped to be searched in: a mean vector of each identity, a vector of each "
        "picture, or nothing",
    )
    gallery_most: int = Field(
        default=50_000, ge=1, le=1_000_000, description="entries; data with more are refused"
    )

    @model_validator(mode="after")
    def _a_batch_holds_two_identities(self) -> Self:
        if self.batch_size < 2 * self.pictures_per_identity:
            raise ValueError(
                f"batch_size {self.batch_size} must hold at least two identities of "
                f"pictures_per_identity={self.pictures_per_identity} pictures"
            )
        return self

    @model_validator(mode="after")
    def _vectors_are_not_capsules(self) -> Self:
        if self.network == "capsnet":
            raise ValueError("network capsnet gives lengths of capsules, which are no vector")
        return self
