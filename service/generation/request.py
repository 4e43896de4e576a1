"""What a caller asks of the generation engine, and what the engine tells the caller.

`GenerationRequest` and `GenerationEvent` cross from the front end to an inference worker and back as
JSON bytes, so both sides import this module and nothing heavier. A request is checked when it is built,
whichever side builds it: a value that exists is within bounds. What only a loaded model can know (the
vocabulary, the context length) is checked by the engine at admission, not here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast, get_args

import orjson

from service.errors import BadRequest

FinishReason = Literal["stop", "length", "cancelled", "error"]

MAX_TOKENS = (
    1_048_576  # longest prompt or answer that may be asked for; a model's context is far below
)
MAX_TOKEN_ID = 2**31 - 1
_LONGEST_S = 86_400.0
MAX_STOP_TOKENS = 64
MAX_LOGPROBS = 20
MAX_TEMPERATURE = 100.0


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen from the logits.

    The order is temperature, then `top_k`, then `top_p` over what is left. `temperature` 0 is greedy.
    Without a `seed` the engine draws one; with it the answer is reproducible whatever else is running.
    `logprobs` asks for that many alternatives beside every token (0: none, and no log-probabilities).
    """

    max_tokens: int = 16
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int = 0

    def __post_init__(self) -> None:
        _require_int("max_tokens", self.max_tokens, 1, MAX_TOKENS)
        _require_number("temperature", self.temperature, 0.0, MAX_TEMPERATURE)
        _require_number("top_p", self.top_p, 0.0, 1.0)
        if self.top_p == 0.0:
            raise BadRequest("top_p must be above 0 and at most 1")
        _require_int("top_k", self.top_k, 0, MAX_TOKEN_ID)
        if self.seed is not None:
            _require_int("seed", self.seed, -(2**63), 2**63 - 1)
        _require_ids("stop_token_ids", self.stop_token_ids, 0, MAX_STOP_TOKENS)
        _require_int("logprobs", self.logprobs, 0, MAX_LOGPROBS)


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt as token ids and how to continue it. Raises BadRequest when out of bounds."""

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)

    def __post_init__(self) -> None:
        _require_ids("prompt_ids", self.prompt_ids, 1, MAX_TOKENS)

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> GenerationRequest:
        """Parse strictly: unknown keys, wrong types and values out of bounds raise BadRequest."""
        document = _object(data, cls)
        sampling = document.get("sampling", {})
        _require_keys("sampling", sampling, SamplingParams)
        values = dict(sampling)
        if "stop_token_ids" in values:
            values["stop_token_ids"] = _tuple("stop_token_ids", values["stop_token_ids"])
        return cls(_tuple("prompt_ids", document.get("prompt_ids")), SamplingParams(**values))


@dataclass(frozen=True)
class TokenLogprobs:
    """Natural-log probabilities of one emitted token, before temperature and truncation.

    `top` holds (token id, log-probability) pairs, most likely first.
    """

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class GenerationEvent:
    """News about one request: tokens since the last event, and how it ended, if it did.

    The last event of a request is the only one with a `finish_reason`. A stop token is not part of
    `token_ids`. With `finish_reason` "error", `error` is a sentence for the caller and `code` the
    reason word of the service error that it stands for, which may be worth another try after
    `retry_after_s`. `logprobs` is empty or as long as `token_ids`.
    """

    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None
    error: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    logprobs: tuple[TokenLogprobs, ...] = ()

    def to_json(self) -> bytes:
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, data: bytes) -> GenerationEvent:
        """Parse what a worker sent; the same strictness, since a worker may be broken."""
        document = _object(data, cls)
        reason = document.get("finish_reason")
        if reason is not None and reason not in get_args(FinishReason):
            raise BadRequest(f"finish_reason {reason!r} is unknown")
        ids = _tuple("token_ids", document.get("token_ids", []))
        _require_ids("token_ids", ids, 0, MAX_TOKENS)
        return cls(
            token_ids=ids,
            finish_reason=cast(FinishReason | None, reason),
            error=_optional_text("error", document.get("error")),
            code=_optional_text("code", document.get("code")),
            retry_after_s=_optional_seconds("retry_after_s", document.get("retry_after_s")),
            logprobs=tuple(
                _logprobs(entry) for entry in _tuple("logprobs", document.get("logprobs", []))
            ),
        )


def _logprobs(entry: object) -> TokenLogprobs:
    _require_keys("logprobs", entry, TokenLogprobs)
    values = cast(Mapping[str, Any], entry)
    top = []
    for pair in _tuple("logprobs.top", values.get("top", [])):
        token, logprob = _pair(pair)
        _require_int("logprobs.top", token, 0, MAX_TOKEN_ID)
        _require_number("logprobs.top", logprob, -math.inf, 0.0)
        top.append((token, float(logprob)))
    _require_number("logprobs", values.get("logprob"), -math.inf, 0.0)
    return TokenLogprobs(float(values["logprob"]), tuple(top))


def _pair(value: object) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise BadRequest("logprobs.top must hold [token id, log-probability] pairs")
    return value[0], value[1]


def _object(data: bytes, kind: type) -> Mapping[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the message is not JSON: {error}") from error
    _require_keys("the message", document, kind)
    return cast(Mapping[str, Any], document)


def _require_keys(name: str, value: object, kind: type) -> None:
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object")
    unknown = value.keys() - {entry.name for entry in fields(kind)}
    if unknown:
        raise BadRequest(f"{name} has an unknown key {min(unknown)!r}")


def _tuple(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list")
    return tuple(value)


def _optional_text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{name} must be text")
    return value


def _optional_seconds(name: str, value: object) -> float | None:
    if value is not None:
        _require_number(name, value, 0.0, _LONGEST_S)
    return cast(float | None, value)


def _require_int(name: str, value: object, low: int, high: int) -> None:
    # `type(…) is int`: True is an int to isinstance, and nobody means it as a count.
    if type(value) is not int or not low <= value <= high:
        raise BadRequest(f"{name} must be an integer from {low} to {high}")


def _require_number(name: str, value: object, low: float, high: float) -> None:
    if type(value) not in (int, float) or not low <= cast(float, value) <= high:
        raise BadRequest(f"{name} must be a number from {low:g} to {high:g}")


def _require_ids(name: str, ids: object, shortest: int, longest: int) -> None:
    if not isinstance(ids, tuple) or not shortest <= len(ids) <= longest:
        raise BadRequest(f"{name} must hold {shortest} to {longest} token ids")
    if not all(type(token) is int and 0 <= token <= MAX_TOKEN_ID for token in ids):
        raise BadRequest(f"{name} must hold integers from 0 to {MAX_TOKEN_ID}")
