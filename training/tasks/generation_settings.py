"""What a text-generation run may be told, beyond what every run may be told."""

from pydantic import Field

from training.config import OptimConfig, RunConfig
from training.networks.decoder import DecoderConfig


class DecoderOptimConfig(OptimConfig):
    """Muon for the hidden matrices, AdamW for the rest; one schedule for both."""

    matrix_learning_rate: float = Field(
        default=0.02,
        gt=0,
        description="optimizer adamw: the step size, at the peak, of Muon, which takes "
        "the hidden matrices' steps beside it; another optimizer takes all steps itself",
    )


class TextGenerationConfig(RunConfig):
    """`batch_size` counts windows of `decoder.context` tokens."""

    optim: DecoderOptimConfig = DecoderOptimConfig()

    decoder: DecoderConfig = Field(description="sizes of the network")
    vocabulary: int = Field(
        default=2048, ge=258, le=262_144, description="tokens of the byte-level BPE tokenizer"
    )
    epoch_windows: int = Field(
        ge=1, description="windows of text in one epoch; a run need not see all of the text"
    )
    validation_windows: int = Field(
        default=64, ge=1, description="windows kept from training to choose the best weights"
    )
    sample_prompts: tuple[str, ...] = Field(
        default=("\n",), description="beginnings continued on the bundle's sample sheet"
    )
    default_max_tokens: int = Field(
        default=64, ge=1, description="length of an answer when the caller does not say"
    )
