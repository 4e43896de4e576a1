"""What text classification may be told. Apart from the work, so that reading it needs no torch."""

from pydantic import Field

from training.config import ConfigRecord, RunConfig
from training.data.table_columns import AUTO


class PhrasesConfig(ConfigRecord):
    """The recipe's own data, phrases from the CLDR; unused with `--data`."""

    train: int = Field(default=1000, ge=1, le=20_000, description="training phrases per language")
    validation: int = Field(default=60, ge=1, le=5_000, description="validation phrases, likewise")
    test: int = Field(default=100, ge=1, le=5_000, description="held-out phrases, likewise")


class TextClassificationConfig(RunConfig):
    """A convolutional classifier over BPE tokens."""

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
    width: int = Field(default=96, ge=4, le=2048, description="numbers in a token's embedding")
    filters: int = Field(default=64, ge=4, le=2048, description="filters for each window size")
    windows: tuple[int, ...] = Field(
        default=(2, 3, 4), min_length=1, description="sizes of the filters' windows, in tokens"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="on embeddings and before the head")
    label_smoothing: float = Field(default=0.05, ge=0, lt=1, description="softens the targets")
    baseline: bool = Field(
        default=True, description="also fit TF-IDF with logistic regression, to compare"
    )
    top_k: int = Field(default=3, ge=1, le=1000, description="labels in an answer by default")
