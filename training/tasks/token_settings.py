"""What token classification may be told. Apart from the work, so that reading it needs no torch."""

from pydantic import Field

from training.config import ConfigRecord, LabelLossConfig
from training.data.conll import AUTO
from training.networks.text_settings import TextNetworkConfig


class SentencesConfig(ConfigRecord):
    """The recipe's own data, made sentences with names; unused with `--data`."""

    train: int = Field(default=4000, ge=8, le=200_000, description="training sentences")
    validation: int = Field(default=400, ge=4, le=50_000, description="validation sentences")
    test: int = Field(default=800, ge=4, le=50_000, description="held-out sentences")


class TokenClassificationConfig(TextNetworkConfig, LabelLossConfig):
    """An encoder and a linear layer that gives every word a tag."""

    token_prefix: str = Field(
        default=AUTO,
        description="what stands before every word in --data and is taken off; auto: a language code "
        "that all have, as in en:Paris; empty: nothing",
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=0.5, description="part of the sentences, where no file is given"
    )
    test_fraction: float = Field(
        default=0.15, gt=0, lt=0.5, description="part of the sentences held out, likewise"
    )
    sentences: SentencesConfig = SentencesConfig()
    vocabulary: int = Field(
        default=8192,
        ge=256,
        le=262_144,
        description="largest number of tokens of a tokenizer of one's own; 256 are bytes",
    )
    lowercase: bool = Field(
        default=False, description="read capitals as small letters; names are told by theirs"
    )
    max_tokens: int = Field(
        default=256, ge=8, le=8192, description="longer texts are cut, or refused by the server"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="part of every target shared among all tags"
    )
