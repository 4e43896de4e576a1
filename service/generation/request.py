"""What a caller asks of the generation engine, and what the engine tells the caller.

`GenerationRequest` and `GenerationEvent` cross from the front end to an inference worker and back as
JSON bytes, so both sides import this module and nothing heavier. A request is checked when it is built,
whichever side builds it: a value that exists is within bounds. What only a loaded model can know (the
vocabulary, the context length, whether a grammar compiles) is checked by the engine, not here.

The bytes leave out whatever has its default, which makes the event of one plain token 17 bytes, and
the events of one step, of all its requests, travel as one message (`encode_events`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast, get_args

import orjson

from service.errors import BadRequest
from service.generation.bounds import (
    MAX_TOKEN_ID,
    require_flag,
    require_ids,
    require_int,
    require_number,
    require_positive,
    require_text,
)

FinishReason = Literal["stop", "length", "cancelled", "error", "deadline"]
ConstraintKind = Literal["json_schema", "json_object", "regex", "grammar"]

# Longest prompt or answer that may be asked for; a model's context is far below.
MAX_TOKENS = 1_048_576
MAX_STOP_TOKENS = 64
MAX_LOGPROBS = 20
MAX_TEMPERATURE = 100.0
MAX_PENALTY = 2.0  # presence and frequency: OpenAI's bounds
MAX_REPETITION_PENALTY = 100.0
MAX_LOGIT_BIAS = 100.0
MAX_BIASED_TOKENS = 1024
MAX_CONSTRAINT_CHARACTERS = 65_536
MAX_BEAMS = 32
MAX_LENGTH_PENALTY = 10.0
MAX_PRIORITY = 2**31 - 1
MAX_SALT_CHARACTERS = 256
_LONGEST_S = 86_400.0
_LONGEST_ERROR = 65_536


@dataclass(frozen=True)
class Constraint:
    """What the answer has to be: a JSON value of a schema, any JSON object, a match of a regular
    expression, or a sentence of a grammar (Lark's or llama.cpp's notation). `text` is the schema,
    expression or grammar; empty for "json_object"."""

    kind: ConstraintKind
    text: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(ConstraintKind):
            known = ", ".join(get_args(ConstraintKind))
            raise BadRequest(f"a constraint's kind must be one of {known}")
        require_text(f"the constraint's {self.kind}", self.text, MAX_CONSTRAINT_CHARACTERS)
        if (self.kind == "json_object") == bool(self.text):
            wanted = "takes no text" if self.text else "needs its text"
            raise BadRequest(f"a constraint of kind {self.kind} {wanted}")


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen from the logits; sampling.py documents the order of operations.

    `temperature` 0 is greedy. Without a `seed` the engine draws one; with it the answer is reproducible
    whatever else is running. `repetition_penalty` looks at prompt and answer, `presence_penalty` and
    `frequency_penalty` at the answer alone. Until `min_tokens` no stop token can be chosen; with
    `ignore_stop` none ever ends the answer. `logprobs`: None for none, k for the chosen token's and k
    alternatives'. `num_beams` above 1, `length_penalty` and `n`, the answers of a search that are
    reported, are for encoder–decoder models.
    """

    max_tokens: int = 16
    min_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    ignore_stop: bool = False
    logprobs: int | None = None
    constraint: Constraint | None = None
    num_beams: int = 1
    length_penalty: float = 1.0
    n: int = 1

    def __post_init__(self) -> None:
        require_int("max_tokens", self.max_tokens, 1, MAX_TOKENS)
        require_int("min_tokens", self.min_tokens, 0, self.max_tokens)
        require_number("temperature", self.temperature, 0.0, MAX_TEMPERATURE)
        require_positive("top_p", self.top_p, 1.0)
        require_int("top_k", self.top_k, 0, MAX_TOKEN_ID)
        require_number("min_p", self.min_p, 0.0, 1.0)
        require_positive("repetition_penalty", self.repetition_penalty, MAX_REPETITION_PENALTY)
        require_number("presence_penalty", self.presence_penalty, -MAX_PENALTY, MAX_PENALTY)
        require_number("frequency_penalty", self.frequency_penalty, -MAX_PENALTY, MAX_PENALTY)
        _require_bias(self.logit_bias)
        if self.seed is not None:
            require_int("seed", self.seed, -(2**63), 2**63 - 1)
        require_ids("stop_token_ids", self.stop_token_ids, 0, MAX_STOP_TOKENS)
        require_flag("ignore_stop", self.ignore_stop)
        if self.logprobs is not None:
            require_int("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        require_int("num_beams", self.num_beams, 1, MAX_BEAMS)
        high = MAX_LENGTH_PENALTY
        require_number("length_penalty", self.length_penalty, -high, high)
        require_int("n", self.n, 1, self.num_beams)


@dataclass(frozen=True)
class GenerationRequest:
    """A prompt as token ids and how to continue it. Raises BadRequest when out of bounds.

    `source_ids`: what the encoder of an encoder–decoder model reads. `priority`: lower goes first, 0 is
    the model's default. `deadline_s`: seconds left when the request is sent. `cache_salt`: requests
    share cached prefixes only with those of the same salt. `prompt_logprobs` as SamplingParams.logprobs,
    for the tokens of the prompt.
    """

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    source_ids: tuple[int, ...] = ()
    priority: int = 0
    deadline_s: float | None = None
    cache_salt: str = ""
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        require_ids("prompt_ids", self.prompt_ids, 1, MAX_TOKENS)
        require_ids("source_ids", self.source_ids, 0, MAX_TOKENS)
        require_int("priority", self.priority, 0, MAX_PRIORITY)
        if self.deadline_s is not None:
            require_number("deadline_s", self.deadline_s, 0.0, _LONGEST_S)
        require_text("cache_salt", self.cache_salt, MAX_SALT_CHARACTERS)
        if self.prompt_logprobs is not None:
            require_int("prompt_logprobs", self.prompt_logprobs, 0, MAX_LOGPROBS)

    def to_json(self) -> bytes:
        document = _compact(self)
        if sampling := _compact(self.sampling):
            document["sampling"] = sampling
        return orjson.dumps(document)

    @classmethod
    def from_json(cls, data: bytes) -> GenerationRequest:
        """Parse strictly: unknown keys, wrong types and values out of bounds raise BadRequest."""
        values = _values("the message", _parse(data), cls)
        values["prompt_ids"] = _tuple("prompt_ids", values.get("prompt_ids"))
        if "source_ids" in values:
            values["source_ids"] = _tuple("source_ids", values["source_ids"])
        values["sampling"] = _sampling(values.get("sampling", {}))
        return cls(**values)


@dataclass(frozen=True)
class TokenLogprobs:
    """Natural-log probabilities of one token under the model's own distribution: the log-softmax of its
    raw logits, before biases, penalties, constraint, temperature and truncation.

    `top` holds (token id, log-probability) pairs, most likely first.
    """

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class RankedAnswer:
    """One of several that a beam search has found; `score` as the event's."""

    token_ids: tuple[int, ...]
    score: float
    finish_reason: FinishReason


@dataclass(frozen=True)
class GenerationEvent:
    """News about one request: tokens since the last event, and how it ended, if it did.

    The last event of a request is the only one with a `finish_reason`. A stop token is not part of
    `token_ids`. With `finish_reason` "error", `error` is a sentence for the caller and `code` the
    reason word of the service error that it stands for, which may be worth another try after
    `retry_after_s`. `logprobs` is empty or as long as `token_ids`.

    The first event says how the request was taken in: `cached_tokens` of its prompt needed no
    computing, it waited `queue_s` and its prompt was read in `prefill_s`; `prompt_logprobs`, if asked
    for, is as long as the prompt and begins with None, since nothing precedes the first token.

    The last event of an encoder–decoder's answer may have a `score`: its log-probability, the ending
    token's included, over its length to the length penalty. A beam search has that event alone, with the
    best answer's tokens; the next best are its `alternatives`.
    """

    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None
    error: str | None = None
    code: str | None = None
    retry_after_s: float | None = None
    logprobs: tuple[TokenLogprobs, ...] = ()
    cached_tokens: int = 0
    queue_s: float | None = None
    prefill_s: float | None = None
    prompt_logprobs: tuple[TokenLogprobs | None, ...] = ()
    score: float | None = None
    alternatives: tuple[RankedAnswer, ...] = ()

    def to_json(self) -> bytes:
        return orjson.dumps(_compact(self))

    @classmethod
    def from_json(cls, data: bytes) -> GenerationEvent:
        """Parse what a worker sent; the same strictness, since a worker may be broken."""
        return _event(_parse(data))


def encode_events(events: Iterable[tuple[int, GenerationEvent]]) -> bytes:
    """The news of one step as one message: (request id, event) pairs in their order."""
    return orjson.dumps([(request_id, _compact(event)) for request_id, event in events])


def decode_events(data: bytes) -> list[tuple[int, GenerationEvent]]:
    """What `encode_events` was given. Raises BadRequest for anything that it would not have written."""
    events = []
    for entry in _tuple("the message", _parse(data)):
        request_id, document = _pair("the message", entry)
        require_int("request_id", request_id, 0, 2**63 - 1)
        events.append((request_id, _event(document)))
    return events


_DEFAULTS: dict[type, dict[str, object]] = {
    kind: {entry.name: entry.default for entry in fields(kind)}
    for kind in (
        Constraint,
        SamplingParams,
        GenerationRequest,
        TokenLogprobs,
        RankedAnswer,
        GenerationEvent,
    )
}


def _compact(record: object) -> dict[str, object]:
    """Members that differ from their default; the nested `sampling` of a request is its caller's."""
    document = {}
    for name, default in _DEFAULTS[type(record)].items():
        value = getattr(record, name)
        if value != default and not isinstance(value, SamplingParams):
            document[name] = value
    return document


def _sampling(document: object) -> SamplingParams:
    values = _values("sampling", document, SamplingParams)
    for name in ("stop_token_ids", "logit_bias"):
        if name in values:
            values[name] = _tuple(name, values[name])
    if "logit_bias" in values:
        values["logit_bias"] = tuple(_pair("logit_bias", pair) for pair in values["logit_bias"])
    if values.get("constraint") is not None:
        constraint = _values("constraint", values["constraint"], Constraint)
        values["constraint"] = Constraint(**{"kind": None, **constraint})
    return SamplingParams(**values)


def _event(document: object) -> GenerationEvent:
    values = _values("the event", document, GenerationEvent)
    values["token_ids"] = _tuple("token_ids", values.get("token_ids", []))
    require_ids("token_ids", values["token_ids"], 0, MAX_TOKENS)
    if len(values) == 1:  # nothing but tokens: nearly every event
        return GenerationEvent(values["token_ids"])
    reason = values.get("finish_reason")
    if reason is not None:
        _require_reason(reason)
    for name in ("error", "code"):
        if values.get(name) is not None:
            require_text(name, values[name], _LONGEST_ERROR)
    for name in ("retry_after_s", "queue_s", "prefill_s"):
        if values.get(name) is not None:
            require_number(name, values[name], 0.0, _LONGEST_S)
    require_int("cached_tokens", values.get("cached_tokens", 0), 0, MAX_TOKENS)
    found = _tuple("logprobs", values.get("logprobs", []))
    values["logprobs"] = tuple(_logprobs(entry) for entry in found)
    found = _tuple("prompt_logprobs", values.get("prompt_logprobs", []))
    values["prompt_logprobs"] = tuple(
        None if entry is None else _logprobs(entry) for entry in found
    )
    if values.get("score") is not None:
        require_number("score", values["score"], -1e300, 1e300)
    found = _tuple("alternatives", values.get("alternatives", []))
    values["alternatives"] = tuple(_ranked(entry) for entry in found)
    return GenerationEvent(**values)


def _ranked(entry: object) -> RankedAnswer:
    values = _values("alternatives", entry, RankedAnswer)
    tokens = _tuple("token_ids", values.get("token_ids"))
    require_ids("token_ids", tokens, 0, MAX_TOKENS)
    require_number("score", values.get("score"), -1e300, 1e300)
    _require_reason(values.get("finish_reason"))
    return RankedAnswer(tokens, float(values["score"]), values["finish_reason"])


def _require_reason(reason: object) -> None:
    if reason not in get_args(FinishReason):
        raise BadRequest(f"finish_reason {reason!r} is unknown")


def _logprobs(entry: object) -> TokenLogprobs:
    values = _values("logprobs", entry, TokenLogprobs)
    top = []
    for pair in _tuple("logprobs.top", values.get("top", [])):
        token, logprob = _pair("logprobs.top", pair)
        require_int("logprobs.top", token, 0, MAX_TOKEN_ID)
        top.append((token, _logprob(logprob)))
    return TokenLogprobs(_logprob(values.get("logprob")), tuple(top))


def _logprob(value: object) -> float:
    require_number("logprobs", value, -1e300, 0.0)  # JSON has no infinity
    return float(cast(float, value))


def _parse(data: bytes) -> object:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the message is not JSON: {error}") from error


def _values(name: str, value: object, kind: type) -> dict[str, Any]:
    """The members of an object as keyword arguments for `kind`."""
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object")
    known = _DEFAULTS[kind].keys()
    if not value.keys() <= known:
        raise BadRequest(f"{name} has an unknown key {min(value.keys() - known)!r}")
    return cast(dict[str, Any], value)


def _tuple(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise BadRequest(f"{name} must be a list")
    return tuple(value)


def _pair(name: str, value: object) -> tuple[Any, Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise BadRequest(f"{name} must hold pairs")
    return value[0], value[1]


def _require_bias(pairs: object) -> None:
    if not isinstance(pairs, tuple) or len(pairs) > MAX_BIASED_TOKENS:
        raise BadRequest(f"logit_bias must hold at most {MAX_BIASED_TOKENS} token ids")
    require_ids("logit_bias", tuple(token for token, _ in pairs), 0, MAX_BIASED_TOKENS)
    for _, bias in pairs:
        require_number("logit_bias", bias, -MAX_LOGIT_BIAS, MAX_LOGIT_BIAS)
    if len({token for token, _ in pairs}) < len(pairs):
        raise BadRequest("logit_bias names a token twice")
