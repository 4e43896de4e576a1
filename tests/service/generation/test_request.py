"""Requests and events survive the channel and refuse everything that is out of bounds."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadRequest
from service.generation.request import (
    GenerationEvent,
    GenerationRequest,
    SamplingParams,
    TokenLogprobs,
)

ids = st.lists(st.integers(0, 2**31 - 1), max_size=20).map(tuple)
sampling = st.builds(
    SamplingParams,
    max_tokens=st.integers(1, 1_048_576),
    temperature=st.floats(0, 100),
    top_p=st.floats(0, 1, exclude_min=True),
    top_k=st.integers(0, 2**31 - 1),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    stop_token_ids=ids,
    logprobs=st.integers(0, 20),
)
logprobs = st.builds(
    TokenLogprobs,
    logprob=st.floats(max_value=0, allow_nan=False, allow_infinity=False),
    top=st.lists(
        st.tuples(st.integers(0, 2**31 - 1), st.floats(max_value=0, allow_infinity=False)),
        max_size=3,
    ).map(tuple),
)
events = st.builds(
    GenerationEvent,
    token_ids=ids,
    finish_reason=st.sampled_from([None, "stop", "length", "cancelled", "error"]),
    error=st.none() | st.text(),
    code=st.none() | st.text(),
    logprobs=st.lists(logprobs, max_size=3).map(tuple),
)


@given(ids.filter(bool), sampling)
def test_requests_round_trip(prompt: tuple[int, ...], params: SamplingParams) -> None:
    request = GenerationRequest(prompt, params)
    assert GenerationRequest.from_json(request.to_json()) == request


@given(events)
def test_events_round_trip(event: GenerationEvent) -> None:
    assert GenerationEvent.from_json(event.to_json()) == event


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
]


@pytest.mark.parametrize("document", BAD_REQUESTS, ids=json.dumps)
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
    for field in ("temperature", "top_p"):
        with pytest.raises(BadRequest, match=field):
            SamplingParams(**{field: value})


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
        {"later": 1},
    ],
    ids=json.dumps,
)
def test_bad_events_are_refused(document: Any) -> None:
    with pytest.raises(BadRequest):
        GenerationEvent.from_json(json.dumps(document).encode())
