"""What sentence embedding and text similarity may be told. Apart from the works: no torch here."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord
from training.data.table_columns import AUTO
from training.networks.text_settings import TextNetworkConfig


class ParaphrasesConfig(ConfigRecord):
    """The recipe's own data, generated paraphrases; unused with `--data`."""

    kind: Literal["positive", "scored", "triplet"] = Field(
        default="positive", description="pairs that mean the same, pairs with scores, or triplets"
    )
    train: int = Field(default=6000, ge=8, le=50_000, description="training rows")
    validation: int = Field(default=400, ge=4, le=10_000, description="validation rows")
    test: int = Field(default=500, ge=4, le=10_000, description="held-out rows")


class PairConfig(TextNetworkConfig):
    """An encoder for texts that are compared."""

    columns: tuple[str, str, str] = Field(
        default=(AUTO, AUTO, AUTO),
        description="columns of the two texts and of the score or negative in --data: name, "
        "position, or auto; the third may be none",
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=0.5, description="part of the rows, where no file is given"
    )
    test_fraction: float = Field(
        default=0.15, gt=0, lt=0.5, description="part of the rows held out, likewise"
    )
    paraphrases: ParaphrasesConfig = ParaphrasesConfig()
    vocabulary: int = Field(
        default=4096,
        ge=256,
        le=262_144,
        description="largest number of tokens of a tokenizer of one's own; 256 are bytes",
    )
    lowercase: bool = Field(default=True, description="read capitals as small letters")
    max_tokens: int = Field(
        default=128, ge=8, le=8192, description="longer texts are cut, or refused by the server"
    )
    baseline: bool = Field(default=True, description="also measure TF-IDF, to compare")


class SentenceEmbeddingConfig(PairConfig):
    """Two texts, the same encoder, two vectors."""

    pooling: Literal["mean", "first", "max", "mean_max"] = Field(
        default="mean", description="how the tokens' vectors become the text's"
    )
    normalise: bool = Field(default=True, description="answers have length 1")
    scored_loss: Literal["cosent", "cosine"] = Field(
        default="cosent",
        description="for scored pairs: cosent learns their order, cosine their values",
    )
    scale: float = Field(
        default=20.0, gt=0, le=1000, description="what cosines are multiplied by in the loss"
    )
    matryoshka: tuple[int, ...] = Field(
        default=(),
        description="so many first numbers are made a good vector by themselves; with any, callers "
        "may ask for fewer dimensions",
    )

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> Self:
        if any(size < 1 for size in self.matryoshka):
            raise ValueError("matryoshka: a vector has at least one number")
        return self


class TextSimilarityConfig(PairConfig):
    """Two texts, read together, one number."""

    loss: Literal["auto", "bce", "mse"] = Field(
        default="auto",
        description="bce: probability that they belong together; mse: the score itself; auto: bce",
    )
    negatives: int = Field(
        default=3,
        ge=1,
        le=64,
        description="texts of other rows that each positive pair is set against",
    )
    candidates: int = Field(
        default=20, ge=2, le=1000, description="texts that are ranked for each text when judging"
    )
