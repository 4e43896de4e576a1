"""What question answering may be told. Apart from the work, so that reading it needs no torch."""

from typing import Self

from pydantic import Field, model_validator

from training.config import ConfigRecord
from training.networks.text_settings import TextNetworkConfig


class FactsConfig(ConfigRecord):
    """The recipe's own data, made passages of facts; unused with `--data`."""

    train: int = Field(default=6000, ge=8, le=200_000, description="training questions")
    validation: int = Field(default=400, ge=4, le=50_000, description="validation questions")
    test: int = Field(default=800, ge=4, le=50_000, description="held-out questions")
    no_answer_fraction: float = Field(
        default=0.2, ge=0, lt=1, description="part of the questions that have no answer"
    )


class QuestionAnsweringConfig(TextNetworkConfig):
    """An encoder that points at the first and the last token of the answer."""

    validation_fraction: float = Field(
        default=0.1, gt=0, lt=0.5, description="part of the passages, where no file is given"
    )
    test_fraction: float = Field(
        default=0.15, gt=0, lt=0.5, description="part of the passages held out, likewise"
    )
    facts: FactsConfig = FactsConfig()
    vocabulary: int = Field(
        default=8192,
        ge=256,
        le=262_144,
        description="largest number of tokens of a tokenizer of one's own; 256 are bytes",
    )
    lowercase: bool = Field(default=True, description="read capitals as small letters")
    reader_units: int = Field(
        default=64,
        ge=4,
        le=2048,
        description="cells in each direction of the layer that compares passage and question; a "
        "checkpoint does without",
    )
    max_tokens: int = Field(
        default=256, ge=32, le=8192, description="question and window of the passage together"
    )
    stride_tokens: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="tokens that neighbouring windows of a long passage share; no answer should be "
        "longer",
    )
    max_answer_tokens: int = Field(
        default=30, ge=1, le=1024, description="longest answer, when the caller does not say"
    )

    @model_validator(mode="after")
    def _windows_bring_something_new(self) -> Self:
        if 2 * self.stride_tokens > self.max_tokens:
            raise ValueError(
                f"stride_tokens {self.stride_tokens} must be at most half of max_tokens "
                f"{self.max_tokens}"
            )
        return self
