"""What a graph gives → what callers get: the blocks of postprocessing."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.blocks.record import Record, RelativeFile


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
