"""Requests and events survive the channel and refuse everything that is out of bounds."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.generation.request import (
    Constraint,
    GenerationEvent,
    GenerationRequest,
    SamplingParams,
    TokenLogprobs,
    decode_events,
    encode_events,
)

ids = st.lists(st.integers(0, 2**31 - 1), max_size=20).map(tuple)
constraints = st.builds(
    Constraint, st.sampled_from(["json_schema", "regex", "grammar"]), st.text(min_size=1)
) | st.just(Constraint("json_object"))
sampling = st.builds(
    SamplingParams,
    max_tokens=st.integers(1000, 1_048_576),
    min_tokens=st.integers(0, 1000),
    temperature=st.floats(0, 100),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=st.integers(0, 2**31 - 1),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    stop_token_ids=ids,
    logprobs=st.none() | st.integers(0, 20),
    min_p=st.floats(0, 1),
    repetition_penalty=st.floats(0.01, 100),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
    logit_bias=st.dictionaries(st.integers(0, 2**31 - 1), st.floats(-100, 100), max_size=4).map(
        lambda bias: tuple(bias.items())
    ),
    ignore_stop=st.booleans(),
    constraint=st.none() | constraints,
    num_beams=st.integers(1, 32),
    length_penalty=st.floats(-10, 10),
)
seconds = st.none() | st.floats(0, 86_400)
requests = st.builds(
    GenerationRequest,
    prompt_ids=ids.filter(bool),
    sampling=sampling,
    source_ids=ids,
    priority=st.integers(0, 9),
    deadline_s=seconds,
    cache_salt=st.text(max_size=256),
    prompt_logprobs=st.none() | st.integers(0, 20),
)
finite = st.floats(min_value=-1e300, max_value=0)
logprobs = st.builds(
    TokenLogprobs,
    logprob=finite,
    top=st.lists(st.tuples(st.integers(0, 2**31 - 1), finite), max_size=3).map(tuple),
)
events = st.builds(
    GenerationEvent,
    token_ids=ids,
    finish_reason=st.sampled_from([None, "stop", "length", "cancelled", "error", "deadline"]),
    error=st.none() | st.text(),
    code=st.none() | st.text(),
    retry_after_s=seconds,
    logprobs=st.lists(logprobs, max_size=3).map(tuple),
    cached_tokens=st.integers(0, 1_048_576),
    queue_s=seconds,
    prefill_s=seconds,
    prompt_logprobs=st.lists(st.none() | logprobs, max_size=3).map(tuple),
)


@given(requests)
def test_requests_round_trip(request: GenerationRequest) -> None:
    assert GenerationRequest.from_json(request.to_json()) == request


@given(events)
def test_events_round_trip(event: GenerationEvent) -> None:
    assert GenerationEvent.from_json(event.to_json()) == event


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), events), max_size=5))
def test_the_events_of_a_step_round_trip(step: list[tuple[int, GenerationEvent]]) -> None:
    assert decode_events(encode_events(step)) == step


def test_the_event_of_a_plain_token_is_short() -> None:
    assert GenerationEvent((7,)).to_json() == b'{"token_ids":[7]}'
    assert encode_events([(3, GenerationEvent((7,)))]) == b'[[3,{"token_ids":[7]}]]'


@pytest.mark.parametrize(
    "document",
    [{}, 3, [3], [[1]], [[1, {}, 2]], [["1", {}]], [[-1, {}]], [[True, {}]], [[1, []]]],
    ids=json.dumps,
)
def test_steps_that_are_not_pairs_are_refused(document: Any) -> None:
    with pytest.raises(BadRequest):
        decode_events(json.dumps(document).encode())


def test_request_without_sampling_takes_the_defaults() -> None:
    assert GenerationRequest.from_json(b'{"prompt_ids": [1]}').sampling == SamplingParams()


BAD_REQUESTS: list[Any] = [
    [],
    "text",
    {},
    {"prompt_ids": []},
    {"prompt_ids": "12"},
    {"prompt_ids": [1.0]},
    {"prompt_ids": [True]},
    {"prompt_ids": [-1]},
    {"prompt_ids": [2**31]},
    {"prompt_ids": [None]},
    {"prompt_ids": [1], "other": 1},
    {"prompt_ids": [1], "sampling": None},
    {"prompt_ids": [1], "sampling": {"beams": 4}},
    {"prompt_ids": [1], "sampling": {"max_tokens": 0}},
    {"prompt_ids": [1], "sampling": {"max_tokens": 10**9}},
    {"prompt_ids": [1], "sampling": {"max_tokens": 1.5}},
    {"prompt_ids": [1], "sampling": {"max_tokens": "4"}},
    {"prompt_ids": [1], "sampling": {"temperature": -0.1}},
    {"prompt_ids": [1], "sampling": {"temperature": None}},
    {"prompt_ids": [1], "sampling": {"temperature": True}},
    {"prompt_ids": [1], "sampling": {"top_p": 0}},
    {"prompt_ids": [1], "sampling": {"top_p": 1.1}},
    {"prompt_ids": [1], "sampling": {"top_k": -1}},
    {"prompt_ids": [1], "sampling": {"seed": 2**63}},
    {"prompt_ids": [1], "sampling": {"seed": 0.5}},
    {"prompt_ids": [1], "sampling": {"stop_token_ids": [-2]}},
    {"prompt_ids": [1], "sampling": {"stop_token_ids": list(range(65))}},
    {"prompt_ids": [1], "sampling": {"stop_token_ids": 3}},
    {"prompt_ids": [1], "sampling": {"logprobs": 21}},
    {"prompt_ids": [1], "sampling": {"logprobs": -1}},
    {"prompt_ids": [1], "sampling": {"min_tokens": -1}},
    {"prompt_ids": [1], "sampling": {"min_tokens": 9, "max_tokens": 8}},
    {"prompt_ids": [1], "sampling": {"min_p": 1.1}},
    {"prompt_ids": [1], "sampling": {"repetition_penalty": 0}},
    {"prompt_ids": [1], "sampling": {"repetition_penalty": -1}},
    {"prompt_ids": [1], "sampling": {"presence_penalty": 2.1}},
    {"prompt_ids": [1], "sampling": {"frequency_penalty": "1"}},
    {"prompt_ids": [1], "sampling": {"logit_bias": {"1": 2}}},
    {"prompt_ids": [1], "sampling": {"logit_bias": [[1]]}},
    {"prompt_ids": [1], "sampling": {"logit_bias": [[1, 101]]}},
    {"prompt_ids": [1], "sampling": {"logit_bias": [[-1, 1]]}},
    {"prompt_ids": [1], "sampling": {"logit_bias": [[1, None]]}},
    {"prompt_ids": [1], "sampling": {"logit_bias": [[1, 1], [1, 2]]}},
    {"prompt_ids": [1], "sampling": {"logit_bias": [[i, 1] for i in range(1025)]}},
    {"prompt_ids": [1], "sampling": {"ignore_stop": 1}},
    {"prompt_ids": [1], "sampling": {"constraint": "json"}},
    {"prompt_ids": [1], "sampling": {"constraint": {}}},
    {"prompt_ids": [1], "sampling": {"constraint": {"kind": "yaml", "text": "a"}}},
    {"prompt_ids": [1], "sampling": {"constraint": {"kind": ["regex"], "text": "a"}}},
    {"prompt_ids": [1], "sampling": {"constraint": {"kind": "regex"}}},
    {"prompt_ids": [1], "sampling": {"constraint": {"kind": "regex", "text": 3}}},
    {"prompt_ids": [1], "sampling": {"constraint": {"kind": "json_object", "text": "{}"}}},
    {"prompt_ids": [1], "sampling": {"constraint": {"kind": "regex", "text": "a" * 65_537}}},
    {"prompt_ids": [1], "sampling": {"num_beams": 0}},
    {"prompt_ids": [1], "sampling": {"length_penalty": 11}},
    {"prompt_ids": [1], "source_ids": [-1]},
    {"prompt_ids": [1], "source_ids": None},
    {"prompt_ids": [1], "priority": -1},
    {"prompt_ids": [1], "deadline_s": -1},
    {"prompt_ids": [1], "deadline_s": "soon"},
    {"prompt_ids": [1], "cache_salt": 3},
    {"prompt_ids": [1], "cache_salt": "s" * 257},
    {"prompt_ids": [1], "prompt_logprobs": 21},
]


@pytest.mark.parametrize("document", BAD_REQUESTS, ids=lambda bad: json.dumps(bad)[:80])
def test_bad_requests_are_the_callers_mistake(document: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        GenerationRequest.from_json(json.dumps(document).encode())
    assert refused.value.status == 400


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"prompt_ids": [1], "sampling": NaN}'])
def test_bytes_that_are_not_json_are_the_callers_mistake(data: bytes) -> None:
    with pytest.raises(BadRequest):
        GenerationRequest.from_json(data)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused_without_json_too(value: float) -> None:
    numbers = ("temperature", "top_p", "min_p", "length_penalty")
    penalties = ("repetition_penalty", "presence_penalty", "frequency_penalty")
    for field in numbers + penalties:
        with pytest.raises(BadRequest, match=field):
            SamplingParams(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="logit_bias"):
        SamplingParams(logit_bias=((1, value),))
    with pytest.raises(BadRequest, match="deadline_s"):
        GenerationRequest((1,), deadline_s=value)


def test_text_that_no_message_can_carry_is_refused() -> None:
    with pytest.raises(BadRequest, match="Unicode"):
        Constraint("regex", "\ud800")


@pytest.mark.parametrize(
    "document",
    [
        {"finish_reason": "tired"},
        {"finish_reason": ["stop"]},
        {"token_ids": [-1]},
        {"token_ids": [0.5]},
        {"error": 3},
        {"code": []},
        {"logprobs": [{"logprob": 0.5}]},
        {"logprobs": [{"logprob": -1, "top": [[1]]}]},
        {"logprobs": [{"logprob": -1, "top": [["1", -1]]}]},
        {"logprobs": [3]},
        {"logprobs": [{}]},
        {"prompt_logprobs": [3]},
        {"cached_tokens": -1},
        {"queue_s": -1},
        {"prefill_s": "1"},
        {"later": 1},
        [],
    ],
    ids=json.dumps,
)
def test_bad_events_are_refused(document: Any) -> None:
    with pytest.raises(BadRequest):
        GenerationEvent.from_json(json.dumps(document).encode())
