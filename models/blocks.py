"""Preprocessing and postprocessing as data: the blocks of a manifest that say what a tensor means.

Each block is a frozen record chosen by its `kind`. Training writes them, `models.transforms` executes
them, and the service's task plug-ins read them; there is no second description anywhere.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen manifest record: unknown keys are refused, infinities and NaN too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


RelativeFile = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=255),
]


class TensorPreprocessing(Record):
    """The caller sends the tensors themselves (numbers, through V2 or V1 instances)."""

    kind: Literal["tensor"] = "tensor"


class ImagePreprocessing(Record):
    """Bytes of a picture → float32 [channels, height, width], (value·scale − mean) / std per channel."""

    kind: Literal["image"] = "image"
    input: str = Field(description="graph input that receives the pixels")
    height: int = Field(ge=1, le=4096, description="pixels")
    width: int = Field(ge=1, le=4096, description="pixels")
    channel_order: Literal["RGB", "BGR", "L"] = "RGB"
    scale: float = Field(
        default=1 / 255, description="multiplies the 0–255 value before mean and std"
    )
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    interpolation: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"
    fit: Literal["stretch", "crop", "pad", "content"] = Field(
        default="stretch",
        description="stretch to the size; crop: shorter side to the size, then the centre; "
        "pad: longer side to the size, then black borders; content: cut to what stands out from the "
        "border (a drawing, a scanned symbol), keep its proportions. A picture that has the size "
        "already is taken as it is",
    )


class TextPreprocessing(Record):
    """Text → token ids and attention mask, int64 [sequence]; padded only by the batcher."""

    kind: Literal["text"] = "text"
    tokenizer: RelativeFile = "tokenizer.json"
    max_tokens: int = Field(ge=1, le=1_048_576)
    ids_input: str = "input_ids"
    mask_input: str | None = "attention_mask"


class PromptPreprocessing(Record):
    """Text → token ids for the generation engine."""

    kind: Literal["prompt"] = "prompt"
    tokenizer: RelativeFile = "tokenizer.json"
    context_tokens: int = Field(ge=2, le=1_048_576, description="prompt and answer together")
    bos_token_id: int | None = Field(default=None, ge=0, description="put before every prompt")


class ClassConditionPreprocessing(Record):
    """Class name → class index int64 [] and standard normal noise float32 [latent]."""

    kind: Literal["class_condition"] = "class_condition"
    labels: RelativeFile = "labels.txt"
    label_input: str = "label"
    noise_input: str = "noise"
    noise_size: int = Field(ge=1, le=1_000_000)


Preprocessing = Annotated[
    TensorPreprocessing
    | ImagePreprocessing
    | TextPreprocessing
    | PromptPreprocessing
    | ClassConditionPreprocessing,
    Field(discriminator="kind"),
]


class TensorPostprocessing(Record):
    """Outputs are returned as they are."""

    kind: Literal["tensor"] = "tensor"


class ClassificationPostprocessing(Record):
    """Logits float32 [classes] → softmax(logits / temperature) → labels with scores."""

    kind: Literal["classification"] = "classification"
    output: str = "logits"
    is_probability: bool = Field(
        default=False, description="the graph ends in a softmax: its output is taken as it is"
    )
    labels: RelativeFile = Field(
        default="labels.txt", description="one label a line, in class order"
    )
    top_k: int = Field(
        default=5, ge=1, le=1000, description="how many labels when the caller does not say"
    )


class GenerationPostprocessing(Record):
    """Token ids → text; generation ends at any of `stop_token_ids`."""

    kind: Literal["generation"] = "generation"
    stop_token_ids: tuple[int, ...] = ()
    default_max_tokens: int = Field(default=64, ge=1, le=1_048_576)


class ImagePostprocessing(Record):
    """Pixels float32 [channels, height, width] in 0–1 → PNG."""

    kind: Literal["image"] = "image"
    output: str = "image"
    channel_order: Literal["RGB", "L"] = "RGB"
    upscale: int = Field(
        default=1, ge=1, le=64, description="nearest-neighbour enlargement for people"
    )


Postprocessing = Annotated[
    TensorPostprocessing
    | ClassificationPostprocessing
    | GenerationPostprocessing
    | ImagePostprocessing,
    Field(discriminator="kind"),
]
