"""What a text-to-text run may be told, beyond what every run may be told. Imports no torch."""

from typing import Literal

from pydantic import Field

from training.config import ConfigRecord, PretrainedConfig, RunConfig
from training.data.table_columns import AUTO
from training.networks.seq2seq_settings import RecurrentSeq2SeqConfig, TransformerSeq2SeqConfig
from training.tasks.generation_settings import DecoderOptimConfig


class GeneratedPairsConfig(ConfigRecord):
    """How many pairs are generated where there are no data."""

    train: int = Field(default=6000, ge=16, description="generated pairs to learn from")
    validation: int = Field(default=200, ge=4, description="generated pairs to choose by")
    test: int = Field(default=300, ge=4, description="generated pairs to judge by")


class TextToTextConfig(RunConfig):
    """`batch_size` counts tokens of the longer side, padding included."""

    optim: DecoderOptimConfig = DecoderOptimConfig()

    kind: Literal["translation", "summarization"] = Field(
        description="which data, baselines and figures: translation is judged by BLEU, summarization "
        "by ROUGE"
    )
    network: Literal["transformer", "recurrent"] = Field(
        default="transformer",
        description="what reads and writes; with pretrained.source the checkpoint does",
    )
    transformer: TransformerSeq2SeqConfig = TransformerSeq2SeqConfig()
    recurrent: RecurrentSeq2SeqConfig = RecurrentSeq2SeqConfig()
    pretrained: PretrainedConfig = PretrainedConfig()
    generated: GeneratedPairsConfig = GeneratedPairsConfig()

    source: str | None = Field(
        default=None, description="parallel files: ending of the language that is read"
    )
    target: str | None = Field(
        default=None, description="parallel files: ending of the language that is written"
    )
    source_column: str = Field(
        default=AUTO, description="tables: name or position (from 1) of what is read"
    )
    target_column: str = Field(
        default=AUTO, description="tables: name or position (from 1) of what is written"
    )
    validation_fraction: float = Field(
        default=0.05, gt=0, lt=0.5, description="cut from the training pairs where none are given"
    )
    test_fraction: float = Field(
        default=0.1, gt=0, lt=0.5, description="cut from the training pairs where none are given"
    )

    vocabulary: int = Field(
        default=8000, ge=258, le=262_144, description="tokens of the BPE tokenizer, or of each"
    )
    shared_vocabulary: bool = Field(
        default=True, description="one tokenizer for both sides; false: one each"
    )
    merge_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="training texts are also read with this part of the tokenizer's merges left out",
    )
    segmentations: int = Field(
        default=4, ge=1, le=32, description="with merge_dropout: ways in which each text is cut"
    )
    max_source_tokens: int = Field(
        default=128, ge=4, le=65_536, description="longest source, end of text and prefix included"
    )
    max_answer_tokens: int = Field(
        default=128, ge=4, le=65_536, description="longest answer, end of text included"
    )
    source_prefix: str = Field(
        default="",
        description="put before every source, and a space between: e.g. translate German to English:",
    )

    dropout: float = Field(default=0.1, ge=0, lt=1, description="of our own networks")
    label_smoothing: float = Field(
        default=0.1, ge=0, lt=1, description="part of every target shared among all tokens"
    )
    average_decay: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="publish a running mean of the weights, in which each step leaves so much of the "
        "mean before; 0: the weights themselves",
    )
    num_beams: int = Field(
        default=4, ge=1, le=16, description="beams of the main figure, and of the server's default"
    )
    length_penalty: float = Field(
        default=1.0,
        ge=-10,
        le=10,
        description="answers are compared by log-probability over length to this power",
    )
