"""Preprocessing and postprocessing as data: the blocks of a manifest that say what a tensor means.

Each block is a frozen record chosen by its `kind`. Training writes them, `models.transforms` executes
them, and the service's task plug-ins read them; there is no second description anywhere.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    num_beams: int = Field(
        default=1, ge=1, le=16, description="encoder–decoders: beams when the caller does not say"
    )
    length_penalty: float = Field(
        default=1.0,
        ge=-10,
        le=10,
        description="encoder–decoders: an answer's log-probability is divided by its length to this "
        "power before answers are compared; 0 prefers short answers, more than 1 long ones",
    )


class ImagePostprocessing(Record):
    """Pixels float32 [channels, height, width] → PNG."""

    kind: Literal["image"] = "image"
    output: str = "image"
    low: float = Field(default=0.0, description="value that is drawn black")
    high: float = Field(default=1.0, description="value that is drawn white")
    channel_order: Literal["RGB", "L"] = "RGB"
    upscale: int = Field(
        default=1, ge=1, le=64, description="nearest-neighbour enlargement for people"
    )

    @model_validator(mode="after")
    def _white_is_above_black(self) -> Self:
        if self.high <= self.low:
            raise ValueError("high must be above low")
        return self


class ReconstructionPostprocessing(Record):
    """A picture redrawn by the graph → PNG."""

    kind: Literal["reconstruction"] = "reconstruction"
    picture: ImagePostprocessing = ImagePostprocessing()
    second_input: str | None = Field(
        default=None,
        description="graph input of another picture, for what lies between both; with mix_input",
    )
    mix_input: str | None = Field(
        default=None, description="graph input float32 []: 0 the picture, 1 the second"
    )
    noise_level: float = Field(
        default=0.0,
        ge=0,
        description="deviation of the noise it was taught to take away, of values in 0–1; 0: none",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.second_input is None) != (self.mix_input is None):
            raise ValueError("second_input and mix_input go together")
        return self


class DetectionPostprocessing(Record):
    """Boxes float32 [candidates, 4] and scores float32 [candidates, classes] → objects in the picture."""

    kind: Literal["detection"] = "detection"
    boxes_output: str = "boxes"
    scores_output: str = "scores"
    labels: RelativeFile = "labels.txt"
    box_format: Literal["xyxy", "cxcywh"] = "xyxy"
    box_unit: Literal["pixels", "relative"] = Field(
        default="pixels", description="of the graph's own input: its pixels, or parts of its sides"
    )
    score_kind: Literal["probability", "sigmoid", "softmax_background"] = Field(
        default="probability",
        description="how scores become probabilities; softmax_background: the last class is nothing",
    )
    nms: Literal["graph", "postprocess", "none"] = Field(
        default="postprocess", description="where overlapping boxes of a class are thinned out"
    )
    iou_threshold: float = Field(default=0.5, gt=0, le=1, description="overlap that is too much")
    score_threshold: float = Field(
        default=0.3, ge=0, le=1, description="when the caller names none"
    )
    max_detections: int = Field(default=100, ge=1, le=10_000)


class SegmentationPostprocessing(Record):
    """Logits float32 [classes, height, width] → a class for every pixel of the picture."""

    kind: Literal["segmentation"] = "segmentation"
    output: str = "logits"
    labels: RelativeFile = "labels.txt"


class EmbeddingPostprocessing(Record):
    """A vector float32 [dimensions], of a text or a picture."""

    kind: Literal["embedding"] = "embedding"
    output: str = "embedding"
    is_normalised: bool = Field(default=True, description="answers have length 1")
    may_be_shortened: bool = Field(
        default=False, description="trained so that the first numbers alone are a good vector"
    )
    same_threshold: float | None = Field(
        default=None, description="cosine from which on two are the same; chosen on validation data"
    )
    gallery: RelativeFile | None = Field(
        default=None, description="npz with float32 vectors [entries, dimensions] to search in"
    )
    gallery_names: RelativeFile | None = Field(default=None, description="a name a line")


class AnomalyPostprocessing(Record):
    """A score float32 [] and a map float32 [height, width] of how unusual the picture is."""

    kind: Literal["anomaly"] = "anomaly"
    score_output: str = "score"
    map_output: str = "map"
    threshold: float = Field(description="scores above it are anomalies; chosen at training")
    map_low: float = Field(default=0.0, description="map value that is drawn black")
    map_high: float = Field(default=1.0, description="map value that is drawn white")


class TokenClassificationPostprocessing(Record):
    """Logits float32 [tokens, tags] → entities, by BIO tags of the words' first tokens."""

    kind: Literal["token_classification"] = "token_classification"
    output: str = "logits"
    labels: RelativeFile = "labels.txt"
    word_score: Literal["first", "mean", "max"] = Field(
        default="first", description="which of a word's tokens decide"
    )


class SpanPostprocessing(Record):
    """Start and end logits float32 [tokens] → the answer's place in the context, or none."""

    kind: Literal["span"] = "span"
    start_output: str = "start_logits"
    end_output: str = "end_logits"
    max_answer_tokens: int = Field(default=30, ge=1, le=4096)
    may_have_no_answer: bool = False
    no_answer_threshold: float = Field(
        default=0.0, description="lead of `nothing` over the best span from which on it is answered"
    )


class ScorePostprocessing(Record):
    """One number float32 [1] for a pair of texts."""

    kind: Literal["score"] = "score"
    output: str = "logits"
    activation: Literal["none", "sigmoid"] = "sigmoid"
    scale: float = Field(default=1.0, gt=0, description="multiplies what the activation gives")


Postprocessing = Annotated[
    TensorPostprocessing
    | ClassificationPostprocessing
    | GenerationPostprocessing
    | ImagePostprocessing
    | ReconstructionPostprocessing
    | DetectionPostprocessing
    | SegmentationPostprocessing
    | EmbeddingPostprocessing
    | AnomalyPostprocessing
    | TokenClassificationPostprocessing
    | SpanPostprocessing
    | ScorePostprocessing,
    Field(discriminator="kind"),
]
