"""What text networks may be told, a group a family. Apart from the networks: no torch here.

Kinds of work that read text take `TextNetworkConfig` for their base; `training.networks.text_registry`
builds what it asks for.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord, PretrainedConfig, RunConfig

EncoderName = Literal["bag", "rnn", "lstm", "gru", "transformer", "pretrained"]


class BagConfig(ConfigRecord):
    """A bag of embeddings."""

    width: int = Field(default=64, ge=4, le=2048, description="numbers in a token's embedding")


class CnnConfig(ConfigRecord):
    """TextCNN."""

    width: int = Field(default=96, ge=4, le=2048, description="numbers in a token's embedding")
    filters: int = Field(default=64, ge=4, le=2048, description="filters for each window size")
    windows: tuple[int, ...] = Field(
        default=(2, 3, 4), min_length=1, description="sizes of the filters' windows, in tokens"
    )


class RecurrentConfig(ConfigRecord):
    """RNN, LSTM and GRU, read in both directions."""

    width: int = Field(default=96, ge=4, le=2048, description="numbers in a token's embedding")
    units: int = Field(default=64, ge=4, le=2048, description="cells in each direction")
    layers: int = Field(default=1, ge=1, le=8, description="layers, each reading the one below")


class TransformerConfig(ConfigRecord):
    """A transformer encoder from scratch."""

    width: int = Field(default=64, ge=4, le=2048, description="numbers in a token's vector")
    layers: int = Field(default=2, ge=1, le=48, description="blocks of attention")
    heads: int = Field(default=4, ge=1, le=64, description="heads; they share the width")
    inner: int = Field(default=128, ge=4, le=8192, description="width inside a block")
    positions: Literal["sinusoidal", "learned"] = Field(
        default="sinusoidal", description="how tokens know their place; learned needs more data"
    )

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be shared by {self.heads} heads")
        return self


class TextNetworkConfig(RunConfig):
    """Which encoder reads the text, and how large it is."""

    network: EncoderName = Field(
        default="lstm",
        description="what reads the text; pretrained: the checkpoint in --pretrained",
    )
    bag: BagConfig = BagConfig()
    recurrent: RecurrentConfig = RecurrentConfig()
    transformer: TransformerConfig = TransformerConfig()
    pretrained: PretrainedConfig = PretrainedConfig()
    dropout: float = Field(
        default=0.1, ge=0, lt=1, description="on embeddings, between layers and before the head"
    )

    @model_validator(mode="after")
    def _a_checkpoint_is_used_when_named(self) -> Self:
        if self.pretrained.source is not None and self.network != "pretrained":
            raise ValueError(
                f"pretrained.source is a network of its own, and network is {self.network}: "
                "set network=pretrained, or leave the checkpoint out"
            )
        return self
