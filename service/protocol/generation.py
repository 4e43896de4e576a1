"""What OpenAI's two text routes have in common: sampling members, structured outputs, usage, chunks' heads.

vLLM's members that OpenAI does not have keep vLLM's names. A member that is null counts as left out.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.protocol.openai import OpenAIRequest, ParameterInvalid

# Members of a request that are options of the task, by the same name.
_OPTIONS = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
    "frequency_penalty", "logit_bias", "seed", "stop", "stop_token_ids", "ignore_eos", "min_tokens",
    "guided_json", "guided_regex", "guided_choice", "guided_grammar",
)  # fmt: skip


class StreamOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    include_usage: bool | None = Field(default=False, description="a last chunk with the tokens")


class StructuredOutputs(BaseModel):
    """vLLM's; one of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    json_schema: dict[str, Any] | str | None = Field(default=None, alias="json")
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None


class JsonSchema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: str = ""
    content: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class GenerationMembers(OpenAIRequest):
    forms: ClassVar[dict[str, str]] = {**OpenAIRequest.forms, "stop": "text or a list of texts"}

    model: str = Field(description="name of a served text-generation model")
    stream: bool | None = Field(default=False, description="answer as server-sent events")
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=1, description="answers to each prompt")
    seed: int | None = Field(default=None, description="same seed, same answer")
    temperature: float | None = Field(default=1.0, description="0 takes the likeliest token")
    top_p: float | None = Field(default=1.0)
    presence_penalty: float | None = Field(default=0.0, description="-2 to 2")
    frequency_penalty: float | None = Field(default=0.0, description="-2 to 2")
    logit_bias: dict[str, float] | None = Field(default=None, description="token id → -100 to 100")
    stop: str | list[str] | None = Field(default=None, description="texts that end the answer")
    user: str | None = None
    response_format: ResponseFormat | None = Field(
        default=None, description="text, json_object, or json_schema"
    )
    top_k: int | None = Field(default=0, description="vLLM's; 0 or -1: no limit")
    min_p: float | None = Field(default=0.0, description="vLLM's")
    repetition_penalty: float | None = Field(default=1.0, description="vLLM's")
    min_tokens: int | None = Field(default=0, description="vLLM's")
    stop_token_ids: list[int] | None = Field(default=None, description="vLLM's")
    ignore_eos: bool | None = Field(default=False, description="vLLM's")
    guided_json: dict[str, Any] | str | None = Field(default=None, description="vLLM's")
    guided_regex: str | None = Field(default=None, description="vLLM's")
    guided_choice: list[str] | None = Field(default=None, description="vLLM's")
    guided_grammar: str | None = Field(default=None, description="vLLM's")
    structured_outputs: StructuredOutputs | None = Field(default=None, description="vLLM's")
    cache_salt: str | None = Field(
        default=None, max_length=128, description="vLLM's; prompts are reused within one salt only"
    )

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends in a chunk with the tokens. Raises ParameterInvalid without a stream."""
        if self.stream_options is not None and not self.stream:
            raise ParameterInvalid("'stream_options' needs 'stream'", "stream_options")
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def options(self, max_tokens: int | None) -> dict[str, object]:
        """The task's options by its own names. Raises ParameterInvalid."""
        given: dict[str, object] = {name: getattr(self, name) for name in _OPTIONS}
        given["max_tokens"] = max_tokens
        shaped = {**self._formatted(), **self._structured()}
        for name, value in shaped.items():
            if given.get(name) is not None:
                raise ParameterInvalid("the answer's form is named twice", name)
            given[name] = value
        return {name: value for name, value in given.items() if value is not None}

    def _formatted(self) -> dict[str, object]:
        form = self.response_format
        if form is None or form.type == "text":
            return {}
        if form.type == "json_object":
            return {"guided_json_object": True}
        if form.json_schema is None or form.json_schema.content is None:
            raise ParameterInvalid(
                "response_format of type json_schema needs json_schema.schema",
                "response_format.json_schema.schema",
            )
        return {"guided_json": form.json_schema.content}

    def _structured(self) -> dict[str, object]:
        wanted = self.structured_outputs
        if wanted is None:
            return {}
        found = {
            "guided_json": wanted.json_schema,
            "guided_regex": wanted.regex,
            "guided_choice": wanted.choice,
            "guided_grammar": wanted.grammar,
            "guided_json_object": wanted.json_object or None,
        }
        return {name: value for name, value in found.items() if value is not None}


def usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


class PromptTokensDetails(BaseModel):
    cached_tokens: int = Field(description="of prompts that were read before")


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
