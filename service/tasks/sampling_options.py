"""How callers say the next token is to be chosen: OpenAI's names, and vLLM's where OpenAI has none.

Every dialect that generates text ends here, so that a bound, a default and a name are written down once.
`SamplingParams` is what the engine gets.
"""

import json
from typing import Annotated, Any

from pydantic import Field, field_validator

from service.generation.request import (
    MAX_BIASED_TOKENS,
    MAX_CONSTRAINT_CHARACTERS,
    MAX_LOGIT_BIAS,
    MAX_PENALTY,
    MAX_REPETITION_PENALTY,
    MAX_STOP_TOKENS,
    MAX_TOKENS,
    Constraint,
    SamplingParams,
)
from service.tasks.base import OptionInvalid, TaskOptions

MAX_STOP_STRINGS = 4
MAX_STOP_CHARACTERS = 256
_MAX_CHOICES = 1_000

Bias = Annotated[float, Field(ge=-MAX_LOGIT_BIAS, le=MAX_LOGIT_BIAS)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
_CONSTRAINTS = (
    "guided_json",
    "guided_json_object",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
)


class TextGenerationOptions(TaskOptions):
    max_tokens: int | None = Field(
        default=None, ge=1, le=MAX_TOKENS, description="longest answer; default: the model's"
    )
    min_tokens: int = Field(
        default=0, ge=0, le=MAX_TOKENS, description="before so many tokens nothing ends the answer"
    )
    temperature: float = Field(
        default=1.0, ge=0, le=2, description="0 always takes the likeliest token"
    )
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="sample from the likeliest tokens with this much mass"
    )
    top_k: int = Field(
        default=0, ge=-1, le=1_000_000, description="… or this many; 0 or -1: no limit"
    )
    min_p: float = Field(
        default=0.0, ge=0, le=1, description="… at least so likely, relative to the likeliest"
    )
    repetition_penalty: float = Field(
        default=1.0,
        gt=0,
        le=MAX_REPETITION_PENALTY,
        description="above 1: less of what prompt and answer hold already",
    )
    presence_penalty: float = Field(
        default=0.0, ge=-MAX_PENALTY, le=MAX_PENALTY, description="for tokens in the answer, once"
    )
    frequency_penalty: float = Field(
        default=0.0, ge=-MAX_PENALTY, le=MAX_PENALTY, description="… for each time they are in it"
    )
    logit_bias: dict[TokenId, Bias] = Field(
        default_factory=dict,
        max_length=MAX_BIASED_TOKENS,
        description="token id → what is added to its logit, -100 to 100",
    )
    seed: int | None = Field(
        default=None, ge=-(2**63), lt=2**63, description="same seed, same answer"
    )
    stop: tuple[Annotated[str, Field(max_length=MAX_STOP_CHARACTERS)], ...] = Field(
        default=(), max_length=MAX_STOP_STRINGS, description="texts before which the answer ends"
    )
    stop_token_ids: tuple[TokenId, ...] = Field(
        default=(), max_length=MAX_STOP_TOKENS, description="tokens that end it, beside the model's"
    )
    ignore_eos: bool = Field(default=False, description="go on where the model would end")
    guided_json: dict[str, Any] | str | None = Field(
        default=None, description="JSON Schema that the answer follows"
    )
    guided_json_object: bool = Field(default=False, description="the answer is a JSON object")
    guided_regex: str | None = Field(default=None, description="expression that it matches whole")
    guided_choice: tuple[str, ...] | None = Field(
        default=None, min_length=1, max_length=_MAX_CHOICES, description="it is one of these"
    )
    guided_grammar: str | None = Field(
        default=None, description="grammar that derives it, in Lark's notation"
    )

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else () if value is None else value


def sampling_params(
    options: TextGenerationOptions, max_tokens: int, stop_token_ids: tuple[int, ...]
) -> SamplingParams:
    """`stop_token_ids`: the model's own. Raises OptionInvalid and BadRequest."""
    if options.min_tokens > max_tokens:
        raise OptionInvalid(
            f"min_tokens {options.min_tokens} is above the {max_tokens} that may be written",
            "min_tokens",
        )
    return SamplingParams(
        max_tokens=max_tokens,
        min_tokens=options.min_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=max(0, options.top_k),
        min_p=options.min_p,
        repetition_penalty=options.repetition_penalty,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        logit_bias=tuple(options.logit_bias.items()),
        seed=options.seed,
        stop_token_ids=(*stop_token_ids, *options.stop_token_ids)[:MAX_STOP_TOKENS],
        ignore_stop=options.ignore_eos,
        constraint=_constraint(options),
    )


def check_tokens(options: TextGenerationOptions, vocabulary_size: int) -> None:
    """Raises OptionInvalid for a token that the model does not have."""
    for name in ("logit_bias", "stop_token_ids"):
        beyond = next((id for id in getattr(options, name) if id >= vocabulary_size), None)
        if beyond is not None:
            raise OptionInvalid(
                f"{name}: token {beyond} is outside the vocabulary of {vocabulary_size} tokens",
                name,
            )


def _constraint(options: TextGenerationOptions) -> Constraint | None:
    given = [name for name in _CONSTRAINTS if getattr(options, name) not in (None, False)]
    if len(given) > 1:
        raise OptionInvalid(f"only one of {' and '.join(given)} can shape the answer", given[1])
    if options.guided_json is not None:
        return Constraint("json_schema", _schema(options.guided_json))
    if options.guided_json_object:
        return Constraint("json_object")
    if options.guided_regex is not None:
        return Constraint("regex", _text("guided_regex", options.guided_regex))
    if options.guided_grammar is not None:
        return Constraint("grammar", _text("guided_grammar", options.guided_grammar))
    if options.guided_choice is not None:
        # A grammar, because quoting for JSON is quoting for it; expressions have dialects.
        choices = " | ".join(
            json.dumps(choice, ensure_ascii=False) for choice in options.guided_choice
        )
        return Constraint("grammar", _text("guided_choice", f"start: {choices}"))
    return None


def _schema(schema: dict[str, Any] | str) -> str:
    if isinstance(schema, dict):
        return _text("guided_json", json.dumps(schema, ensure_ascii=False))
    try:
        json.loads(schema)
    except (ValueError, RecursionError) as error:
        raise OptionInvalid("guided_json is not valid JSON", "guided_json") from error
    return _text("guided_json", schema)


def _text(name: str, text: str) -> str:
    if not 0 < len(text) <= MAX_CONSTRAINT_CHARACTERS:
        raise OptionInvalid(
            f"{name} must have from 1 to {MAX_CONSTRAINT_CHARACTERS:,} characters", name
        )
    return text
