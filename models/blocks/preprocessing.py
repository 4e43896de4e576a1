"""What callers send → what a graph takes: the blocks of preprocessing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.blocks.record import Record, RelativeFile


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
    fit: Literal["stretch", "crop", "pad", "content", "keep"] = Field(
        default="stretch",
        description="stretch to the size; crop: shorter side to the size, then the centre; "
        "pad: longer side to the size, then black borders; content: cut to what stands out from the "
        "border (a drawing, a scanned symbol), keep its proportions; keep: the whole picture in its "
        "proportions, shorter side to the smaller of height and width, but the longer one at most the "
        "larger of them (the graph takes any size). A picture that has the size already is taken as it "
        "is",
    )
    crop_from: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        default=(),
        max_length=2,
        description="for crop, in whole pixels: first the shorter side to this (one number), or "
        "stretched to this height and width (two); then the middle, black where there is none",
    )


class TextPreprocessing(Record):
    """Text → token ids and attention mask, int64 [sequence]; padded only by the batcher."""

    kind: Literal["text"] = "text"
    tokenizer: RelativeFile = "tokenizer.json"
    max_tokens: int = Field(ge=1, le=1_048_576)
    ids_input: str = "input_ids"
    mask_input: str | None = "attention_mask"
    type_ids_input: str | None = Field(
        default=None, description="graph input that tells the two texts of a pair apart"
    )
    is_pair: bool = Field(
        default=False, description="an item is two texts: question and context, query and document"
    )
    stride_tokens: int = Field(
        default=0,
        ge=0,
        description="a second text that is too long becomes windows that overlap by so many tokens; "
        "0: it is cut or refused",
    )
    prompts: dict[str, str] = Field(
        default_factory=dict, description="name → what is put before the caller's text"
    )
    default_prompt: str | None = Field(
        default=None, description="of `prompts`, for callers who name none; absent: nothing"
    )

    @model_validator(mode="after")
    def _default_prompt_exists(self) -> Self:
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise ValueError(f"default_prompt {self.default_prompt!r} is not one of the prompts")
        return self

    def prompt(self, name: str | None) -> str:
        """What stands before a text; `name` must be one of `prompts`, or none."""
        wanted = name or self.default_prompt
        return "" if wanted is None else self.prompts[wanted]


class PromptPreprocessing(Record):
    """Text → token ids for the generation engine."""

    kind: Literal["prompt"] = "prompt"
    tokenizer: RelativeFile = "tokenizer.json"
    context_tokens: int = Field(ge=2, le=1_048_576, description="prompt and answer together")
    bos_token_id: int | None = Field(default=None, ge=0, description="put before every prompt")
    chat_template: RelativeFile | None = Field(
        default=None,
        description="Jinja file that lays a conversation out as one text (Hugging Face's conventions); "
        "absent: the model continues texts and does not chat",
    )
    tool_call_format: Literal["none", "hermes", "llama"] = Field(
        default="none",
        description="how the model writes a call of a function: hermes: "
        '<tool_call>{"name": …, "arguments": {…}}</tool_call>, tags that are no special tokens; llama: '
        'the whole answer is {"name": …, "parameters": {…}}; none: it was not taught to',
    )

    @model_validator(mode="after")
    def _tools_need_a_template(self) -> Self:
        if self.tool_call_format != "none" and self.chat_template is None:
            raise ValueError("tool_call_format needs a chat_template that shows the tools")
        return self


class SourceTextPreprocessing(Record):
    """Text → token ids for the encoder of an encoder–decoder; the answer starts from one token.

    The tokenizer file adds the special tokens its encoder was trained with (an end of text, as a rule).
    """

    kind: Literal["source_text"] = "source_text"
    tokenizer: RelativeFile = "tokenizer.json"
    target_tokenizer: RelativeFile | None = Field(
        default=None,
        description="of the answer, where source and answer have vocabularies of their own",
    )
    max_source_tokens: int = Field(
        ge=1, le=1_048_576, description="special tokens and prefix included"
    )
    context_tokens: int = Field(
        ge=2, le=1_048_576, description="the answer and the token that it starts from together"
    )
    source_prefix: str = Field(default="", description="put before every source text, as it stands")
    decoder_start_token_id: int = Field(ge=0, description="what every answer starts from")


class ClassConditionPreprocessing(Record):
    """Class name → class index int64 [] and standard normal noise float32 [latent]."""

    kind: Literal["class_condition"] = "class_condition"
    labels: RelativeFile = "labels.txt"
    label_input: str | None = Field(
        default="label", description="none: the graph draws what it likes, and there is one name"
    )
    noise_input: str = "noise"
    noise_size: int = Field(ge=1, le=1_000_000)


class DiffusionPreprocessing(Record):
    """Class name → class index int64 [] and noise float32 [channels, height, width], from which the picture
    comes out in several runs of the graph, a denoising step each (`models.transforms.diffusion`).

    The graph's other inputs are the time and the guidance scale, float32 [] each; its output has the
    picture's shape.
    """

    kind: Literal["diffusion"] = "diffusion"
    labels: RelativeFile = "labels.txt"
    picture_input: str = "x"
    time_input: str = "t"
    label_input: str = "label"
    guidance_input: str = "guidance"
    formulation: Literal["flow", "ddpm"] = Field(
        description="flow: x = (1−t)·picture + t·noise, the graph gives noise − picture; ddpm: x = "
        "cos(a)·picture + sin(a)·noise with a = 0.49·π·t, the graph gives the noise"
    )
    sampler: Literal["euler", "heun"] = Field(
        default="euler",
        description="when the caller does not say; euler: one run a step, which is DDIM's step for "
        "ddpm; heun: two runs a step but for the last, of second order",
    )
    steps: int = Field(default=20, ge=1, description="when the caller does not say")
    max_steps: int = Field(default=250, ge=1, le=10_000)
    guidance_scale: float = Field(
        default=2.0,
        ge=0,
        description="when the caller does not say; how far the class is followed: 0 not at all, 1 as "
        "learned, above that clearer and less varied",
    )
    max_guidance_scale: float = Field(default=20.0, gt=0)

    @model_validator(mode="after")
    def _defaults_are_allowed(self) -> Self:
        if self.steps > self.max_steps or self.guidance_scale > self.max_guidance_scale:
            raise ValueError("steps and guidance_scale must not exceed their limits")
        return self


Preprocessing = Annotated[
    TensorPreprocessing
    | ImagePreprocessing
    | TextPreprocessing
    | PromptPreprocessing
    | SourceTextPreprocessing
    | ClassConditionPreprocessing
    | DiffusionPreprocessing,
    Field(discriminator="kind"),
]
