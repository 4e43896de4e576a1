"""The dialect of Hugging Face's text-embeddings-inference (TEI): requests, answers, errors.

Sources: TEI's own OpenAPI document and what its clients send. TEI serves one model and so names none; here
every request may carry `model`, which is needed only where several models could answer. As in the other
dialects, a member that cannot be honoured is refused by name.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, RootModel

from models.errors import SlipwayError, TextEmpty
from service.errors import QueueFull, QuotaExceeded, Unavailable
from service.protocol.openai import (
    TEXT_FORMS,
    OpenAIRequest,
    OpenAIRoute,
    ParameterInvalid,
    TokenIds,
)

MOST_TOKENIZED_CHARACTERS = 200_000

Sentences = Annotated[list[str], Field(min_length=1)]
Pairs = Annotated[list[str], Field(min_length=1, max_length=2)]
ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class TeiRequest(OpenAIRequest):
    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {
        "truncation_direction": ("Right", "right"),
        "prompt_name": (),
    }

    model: str | None = Field(
        default=None, description="needed where several models could answer; ?model= will do"
    )
    truncate: bool | None = Field(default=False, description="cut what is too long")


class EmbedRequest(TeiRequest):
    forms: ClassVar[dict[str, str]] = {"inputs": TEXT_FORMS}

    inputs: str | TokenIds | list[str | TokenIds] = Field(description=TEXT_FORMS)
    normalize: bool = Field(default=True, description="vectors of length 1")
    dimensions: int | None = Field(
        default=None, description="for models that were trained to be shortened"
    )


class SimilarityInputs(BaseModel):
    source_sentence: str
    sentences: Sentences


class SimilarityParameters(BaseModel):
    truncate: bool | None = False
    truncation_direction: Literal["Right", "right"] = "Right"
    prompt_name: None = None


class SimilarityRequest(TeiRequest):
    forms: ClassVar[dict[str, str]] = {
        "inputs": "an object: source_sentence, and a list of sentences"
    }

    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None


class RerankRequest(TeiRequest):
    query: str
    texts: Sentences
    raw_scores: bool = Field(default=False, description="the model's own numbers")
    return_text: bool = False


class PredictRequest(TeiRequest):
    forms: ClassVar[dict[str, str]] = {
        "inputs": "a text, a pair of texts, or a list of lists of one or two texts, all alike"
    }

    inputs: str | Pairs | Annotated[list[Pairs], Field(min_length=1)] = Field(
        description="a text; two texts; or many, each a list of one text or two"
    )
    raw_scores: bool = Field(default=False, description="the model's own numbers")


class TokenizeRequest(TeiRequest):
    forms: ClassVar[dict[str, str]] = {"inputs": "a text or a list of texts"}

    inputs: str | Sentences
    add_special_tokens: bool = True


class Embeddings(RootModel[list[list[float]]]):
    """A vector for each input."""


class Similarities(RootModel[list[float]]):
    """Cosines of the source sentence with each sentence."""


class Rank(BaseModel):
    index: int
    score: float
    text: str | None = None


class Ranks(RootModel[list[Rank]]):
    """Best first."""


class TeiPrediction(BaseModel):
    label: str
    score: float


class Predictions(RootModel[list[TeiPrediction] | list[list[TeiPrediction]]]):
    """Best first; of one input, or a list for each."""


class SimpleToken(BaseModel):
    id: int
    text: str
    special: bool
    start: int | None = Field(description="character; null for special tokens")
    stop: int | None


class Tokens(RootModel[list[list[SimpleToken]]]):
    """Of each input."""


def error_object(error: SlipwayError) -> dict[str, object]:
    """TEI's two members, and our own reason."""
    return {"error": error.public, "error_type": _error_type(error), "code": error.reason}


def _error_type(error: SlipwayError) -> ErrorType:
    if isinstance(error, QueueFull | QuotaExceeded):
        return "Overloaded"
    if isinstance(error, Unavailable):
        return "Unhealthy"
    if isinstance(error, TextEmpty):
        return "Empty"
    return "Validation" if error.status < 500 else "Backend"


class TeiRoute(OpenAIRoute):
    """Answers errors in TEI's shape."""

    @staticmethod
    def shape(error: SlipwayError) -> dict[str, object]:
        return error_object(error)


def inputs_of(asked: EmbedRequest) -> list[str | tuple[int, ...]]:
    """The forms of `inputs` as a list. Raises ParameterInvalid for none."""
    given = asked.inputs
    if isinstance(given, str):
        return [given]
    if not given:
        raise ParameterInvalid("'inputs' must not be an empty list", "inputs")
    numbers = [part for part in given if isinstance(part, int)]
    if numbers:
        return [tuple(numbers)]
    return [part if isinstance(part, str) else tuple(_ids(part)) for part in given]


def texts_or_pairs(inputs: str | list[str] | list[list[str]]) -> tuple[list[list[str]], bool]:
    """(the one or two texts of each instance, whether they are two). Raises ParameterInvalid."""
    if isinstance(inputs, str):
        return [[inputs]], False
    given = [
        part if isinstance(part, list) else [str(text) for text in inputs]
        for part in (inputs if isinstance(inputs[0], list) else inputs[:1])
    ]
    sizes = {len(texts) for texts in given}
    if len(sizes) > 1:
        raise ParameterInvalid(f"'inputs' must be {PredictRequest.forms['inputs']}", "inputs")
    return given, sizes == {2}


def predictions(answer: Mapping[str, object]) -> list[dict[str, object]]:
    """A task's answer in TEI's words."""
    labels = answer.get("labels")
    if isinstance(labels, list):
        return [{"label": row["label"], "score": row["score"]} for row in labels]
    return [{"label": "LABEL_0", "score": answer["score"]}]


def _ids(part: object) -> list[int]:
    assert isinstance(part, list)  # the body model admits nothing else
    return part
