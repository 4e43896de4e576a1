"""Settings of the encoder–decoders that can be trained from nothing. Imports no torch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from training.config import ConfigRecord


class TransformerSeq2SeqConfig(ConfigRecord):
    """Sizes of `training.networks.seq2seq_transformer`; the letters are those of its legend."""

    width: int = Field(default=256, ge=16, description="D: size of the residual streams")
    encoder_layers: int = Field(default=3, ge=1, description="blocks that read the source")
    decoder_layers: int = Field(default=3, ge=1, description="L: blocks that write the answer")
    heads: int = Field(default=4, ge=1, description="H: query heads; divides the width")
    kv_heads: int = Field(default=4, ge=1, description="K: key/value heads; divides the heads")
    hidden: int = Field(default=512, ge=8, description="F: width of the feed-forward")
    activation: Literal["swiglu", "relu"] = Field(
        default="swiglu", description="of the feed-forward; swiglu has a gate and so more weights"
    )
    rope_theta: float = Field(default=10_000.0, gt=0, description="base of the rotary wavelengths")
    norm_eps: float = Field(default=1e-5, gt=0, description="keeps RMSNorm away from 1/0")
    tied_embeddings: bool = Field(
        default=True,
        description="the answer's embedding is the output head too and, where both sides share a "
        "vocabulary, the source's embedding",
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % (16 * self.heads):
            # ONNX Runtime's attention kernel takes head sizes in steps of 16.
            raise ValueError(f"width {self.width} must be a multiple of 16 · heads ({self.heads})")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        return self

    @property
    def head_size(self) -> int:
        return self.width // self.heads


class RecurrentSeq2SeqConfig(ConfigRecord):
    """Sizes of `training.networks.seq2seq_recurrent`."""

    cell: Literal["gru", "lstm"] = Field(
        default="gru", description="gru: two layers write the answer; lstm: one"
    )
    attention: Literal["bahdanau", "luong"] = Field(
        default="luong",
        description="how a state is compared with the source's: by a small network (Bahdanau 2015) or "
        "by a product (Luong 2015)",
    )
    width: int = Field(default=192, ge=4, description="D: size of the embeddings")
    units: int = Field(default=256, ge=4, description="E: size of the recurrent states")
    encoder_layers: int = Field(default=1, ge=1, description="bidirectional layers over the source")
    tied_embeddings: bool = Field(
        default=True,
        description="the answer's embedding is the output head too and, where both sides share a "
        "vocabulary, the source's embedding",
    )
