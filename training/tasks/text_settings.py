"""What text classification may be told. Apart from the work, so that reading it needs no torch."""

from typing import Literal

from pydantic import Field

from training.config import ConfigRecord, LabelLossConfig
from training.data.table_columns import AUTO
from training.networks.text_settings import CnnConfig, TextNetworkConfig


class PhrasesConfig(ConfigRecord):
    """The recipe's own data, phrases from the CLDR; unused with `--data`."""

    train: int = Field(default=1000, ge=1, le=20_000, description="training phrases per language")
    validation: int = Field(default=60, ge=1, le=5_000, description="validation phrases, likewise")
    test: int = Field(default=100, ge=1, le=5_000, description="held-out phrases, likewise")


class OpinionsConfig(ConfigRecord):
    """The other data of the recipes' own: generated opinions, praise or blame; unused with `--data`."""

    train: int = Field(default=4000, ge=4, le=50_000, description="training sentences")
    validation: int = Field(default=300, ge=2, le=50_000, description="validation sentences")
    test: int = Field(default=500, ge=2, le=50_000, description="held-out sentences")


class TextClassificationConfig(TextNetworkConfig, LabelLossConfig):
    """A network over tokens, its own or a checkpoint's."""

    # Wider than the base's: a TextCNN pools by itself and is no encoder of tokens.
    network: Literal["cnn", "bag", "rnn", "lstm", "gru", "transformer", "pretrained"] = Field(  # type: ignore[assignment]
        default="cnn",
        description="what reads the text: cnn is TextCNN, pretrained the checkpoint in --pretrained",
    )
    cnn: CnnConfig = CnnConfig()
    pooling: Literal["auto", "first", "mean", "max", "mean_max"] = Field(
        default="auto",
        description="how an encoder's vectors become one; auto: mean for bag and checkpoints, mean "
        "and maximum side by side for the others",
    )
    sentences: Literal["phrases", "opinions"] = Field(
        default="phrases", description="the recipe's own data, where there is no --data"
    )
    text_column: str = Field(
        default=AUTO, description="column of the text in --data: its name, its position, or auto"
    )
    label_column: str = Field(
        default=AUTO, description="column of the label in --data: its name, its position, or auto"
    )
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="part of the training rows, where no file is given"
    )
    test_fraction: float = Field(
        default=0.15, gt=0, lt=1, description="part of the rows held out, where no file is given"
    )
    phrases: PhrasesConfig = PhrasesConfig()
    opinions: OpinionsConfig = OpinionsConfig()
    vocabulary: int = Field(
        default=2048, ge=256, le=262_144, description="largest number of tokens; 256 are bytes"
    )
    merge_dropout: float = Field(
        default=0.15,
        ge=0,
        lt=1,
        description="part of the tokenizer's merges left out of half of the training texts, so "
        "that words it never met are read better",
    )
    lowercase: bool = Field(default=True, description="read capitals as small letters")
    max_tokens: int = Field(
        default=256, ge=4, le=8192, description="longer texts are cut, or refused by the server"
    )
    token_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="part of the tokens left out of each training text, drawn anew every time",
    )
    baseline: bool = Field(
        default=True, description="also fit TF-IDF with logistic regression, to compare"
    )
    top_k: int = Field(default=3, ge=1, le=1000, description="labels in an answer by default")
