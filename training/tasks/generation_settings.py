"""What runs that train a decoder may be told, beyond what every run may be told."""

from typing import Literal

from pydantic import Field

from training.config import ConfigRecord, OptimConfig, RunConfig
from training.networks.decoder import DecoderConfig


class DecoderOptimConfig(OptimConfig):
    """Muon for the hidden matrices, AdamW for the rest; one schedule for both."""

    matrix_learning_rate: float = Field(
        default=0.02,
        ge=0,
        description="optimizer adamw: the step size, at the peak, of Muon, which takes "
        "the hidden matrices' steps beside it; 0, or another optimizer: one takes all steps",
    )


class VariantConfig(ConfigRecord):
    """Weight-only variants of a decoder, and what they may cost: growth of the bits per byte of held-out
    text, which is that of its bits per token."""

    precisions: tuple[Literal["int8-weight-only", "int4-weight-only"], ...] = Field(
        default=("int8-weight-only", "int4-weight-only"),
        description="which are tried; () tries none",
    )
    int8_budget: float = Field(
        default=0.01, ge=0, description="part by which bits may grow with weights in int8"
    )
    int4_budget: float = Field(
        default=0.03, ge=0, description="part by which bits may grow with weights in int4"
    )

    def budget(self, precision: str) -> float:
        return self.int4_budget if precision.startswith("int4") else self.int8_budget


class LanguageConfig(RunConfig):
    """`batch_size` counts windows of `decoder.context` tokens."""

    optim: DecoderOptimConfig = DecoderOptimConfig()

    decoder: DecoderConfig = Field(description="sizes of the network")
    tokenizer: Literal["bytes", "characters", "bpe"] = Field(
        default="bpe",
        description="what a token is: a byte, a character of the training texts, or a piece learned "
        "from them; any text can be written in each",
    )
    vocabulary: int = Field(
        default=2048, ge=258, le=262_144, description="tokenizer bpe: how many tokens it has"
    )
    isolate_documents: bool = Field(
        default=True,
        description="tokens see only their own text, also where several share a window, as when the "
        "model is asked; false: a window is one text, which is quicker and does no harm to long ones",
    )
    sample_prompts: tuple[str, ...] = Field(
        default=("\n",), description="beginnings continued on the bundle's sample sheet"
    )
    default_max_tokens: int = Field(
        default=64, ge=1, description="length of an answer when the caller does not say"
    )
    variants: VariantConfig = VariantConfig()
    checkpoint: bool = Field(
        default=False,
        description="put the weights as torch keeps them into the bundle too, for others to start from",
    )


class LoraConfig(ConfigRecord):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) beside the matrices of a base model."""

    rank: int = Field(default=0, ge=0, description="columns of an adapter; 0: all weights learn")
    alpha: float = Field(
        default=16.0, gt=0, description="an adapter's part is multiplied by alpha / rank"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="of what an adapter reads")


class ChatConfig(LanguageConfig):
    """Answers in conversations that are learned; what others say is only read."""

    base: str | None = Field(
        default=None,
        description="model to start from: the folder of a run, a bundle published with "
        "checkpoint=true, or a checkpoint file; its sizes and tokenizer replace the ones set here. "
        "none: from nothing",
    )
    lora: LoraConfig = LoraConfig()
    held_out: float = Field(
        default=0.1,
        gt=0,
        lt=0.9,
        description="part of the conversations, the last of one's own, that is judged on and never "
        "learned",
    )
    validation: float = Field(
        default=0.03,
        gt=0,
        lt=0.5,
        description="part of the others that only chooses between epochs",
    )


class TextGenerationConfig(LanguageConfig):
    """Texts that are learned whole."""

    held_out: float = Field(
        default=0.1,
        gt=0,
        lt=0.9,
        description="part of each of one's own files, its end, that is judged on and never learned",
    )
    epoch_windows: int = Field(
        ge=1,
        description="windows of text in one epoch; a run need not see all of the text, or may see it "
        "many times",
    )
    validation_windows: int = Field(
        default=64,
        ge=1,
        description="windows at the end of the training text that only choose the best weights; at "
        "most a tenth of it",
    )
    judged_overlap: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="part of each window of held-out text that is read again for its successor, so "
        "that no token is judged on hardly any context; 0.5 takes twice the time of 0",
    )
