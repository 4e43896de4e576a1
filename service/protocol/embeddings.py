"""OpenAI's embeddings: request and answer. Errors are those of `service.protocol.openai`."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from service.pipeline import MAX_INSTANCES
from service.protocol.openai import TEXT_FORMS, OpenAIRequest, ParameterInvalid, Prompts

TextOrIds = str | tuple[int, ...]


class EmbeddingRequest(OpenAIRequest):
    forms: ClassVar[dict[str, str]] = {"input": TEXT_FORMS}

    model: str = Field(description="name of a served sentence-embedding model")
    input: Prompts = Field(
        description="text, token ids of the model itself (see /tokenize), or a list of either"
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        default="float", description="base64: the vector's little-endian float32 bytes"
    )
    dimensions: int | None = Field(
        default=None, description="for models that were trained to be shortened"
    )
    truncate: bool | None = Field(
        default=False, description="not OpenAI's; cut a text that is too long"
    )
    user: str | None = None


class EmbeddingData(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    object: Literal["list"] = "list"
    data: list[EmbeddingData]
    model: str
    usage: EmbeddingUsage


def inputs_of(asked: EmbeddingRequest) -> list[TextOrIds]:
    """The four forms of `input` as a list. Raises ParameterInvalid for none or too many."""
    given = asked.input
    if isinstance(given, str):
        return [given]
    if not given:
        raise ParameterInvalid("'input' must not be an empty list", "input")
    if isinstance(given[0], int):
        return [_ids(given)]
    if len(given) > MAX_INSTANCES:
        raise ParameterInvalid(f"at most {MAX_INSTANCES} inputs in one request", "input")
    return [part if isinstance(part, str) else _ids(part) for part in given]


def _ids(part: object) -> tuple[int, ...]:
    assert isinstance(part, Sequence)  # the body model admits no mixture
    return tuple(part)
