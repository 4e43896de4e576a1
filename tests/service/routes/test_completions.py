"""OpenAI's completions: the answer's shape, the error object, and what is refused by name."""

import json
from typing import Any

import pytest
from httpx import Response

from service.generation.request import Constraint
from service.generation.seeds import choice_seed
from tests.service.bundles import CONTEXT_TOKENS
from tests.service.fakes import STORY, Service

PATH = "/v1/completions"


def ask(service: Service, **members: object) -> Response:
    return service.client.post(PATH, json={"model": "writer", "prompt": "def", **members})


def used(read: int, written: int) -> dict[str, object]:
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def problem(response: Response, status: int) -> dict[str, object]:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return dict(body["error"])


def test_the_answer_has_openais_shape(service: Service) -> None:
    response = ask(service, seed=0, max_tokens=5)
    body = response.json()
    assert body["id"] == f"cmpl-{response.headers['x-request-id']}"
    assert (body["object"], body["model"]) == ("text_completion", "writer")
    assert body["choices"] == [
        {"index": 0, "text": STORY[:5], "logprobs": None, "finish_reason": "length"}
    ]
    assert body["usage"] == used(3, 5)


def test_sixteen_tokens_are_written_when_nobody_says_otherwise(service: Service) -> None:
    assert ask(service).json()["usage"]["completion_tokens"] == 16


def test_the_sampling_members_reach_the_engine(service: Service) -> None:
    ask(service, temperature=0.25, top_p=0.5, top_k=7, seed=-3, max_tokens=2)
    sampling = service.pool.requests[-1].sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.25, 0.5, 7)
    assert (sampling.seed, sampling.max_tokens) == (-3, 2)


def test_prompts_are_text_texts_ids_or_lists_of_ids(service: Service) -> None:
    for prompt, count in (("ab", 1), (["ab", "c"], 2), ([1, 2], 1), ([[1, 2], [3]], 2)):
        body = ask(service, prompt=prompt, max_tokens=1).json()
        assert [choice["index"] for choice in body["choices"]] == list(range(count))
        assert body["usage"]["prompt_tokens"] == 3 if count == 2 else 2


def test_several_answers_differ_and_count_the_prompt_once(service: Service) -> None:
    body = ask(service, n=3, seed=1, max_tokens=4).json()
    texts = [choice["text"] for choice in body["choices"]]
    turns = [choice_seed(1, index) % len(STORY) for index in range(3)]
    assert turns[0] == 1
    assert texts == [(STORY * 2)[turn : turn + 4] for turn in turns]
    assert body["usage"] == used(3, 12)


@pytest.mark.parametrize("stop", ["\n", ["\n"], ["zzz", "\n"]])
def test_a_stop_text_ends_the_answer_and_the_work(service: Service, stop: str | list[str]) -> None:
    before = service.pool.cancelled
    choice = ask(service, seed=0, max_tokens=40, stop=stop).json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == ("x = 1", "stop")
    assert service.pool.cancelled == before + 1


def test_echo_repeats_the_prompt(service: Service) -> None:
    choices = ask(service, prompt=["ab", "cd"], echo=True, n=2, max_tokens=1).json()["choices"]
    assert [choice["text"][:2] for choice in choices] == ["ab", "ab", "cd", "cd"]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 3}, "best_of"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    service: Service, members: dict[str, object], param: str
) -> None:
    error = problem(ask(service, **members), 400)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert "not supported" in str(error["message"])


def test_members_that_change_nothing_are_accepted(service: Service) -> None:
    members = {"stream": False, "best_of": 1, "logprobs": None, "presence_penalty": 0.0}
    assert ask(service, **members, logit_bias={}, user="someone").status_code == 200


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, None),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": [-1]}, None),
        ({"prompt": [256]}, None),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, None),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 2**70}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"presence_penalty": 2.5}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"min_p": 1.5}, "min_p"),
        ({"min_tokens": 17}, "min_tokens"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"256": 1}}, "logit_bias"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"stop_token_ids": [256]}, "stop_token_ids"),
        ({"logprobs": 21}, "logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"guided_regex": "a", "guided_json": {}}, "guided_regex"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"seed": 2**63}, "seed"),
        ({"model": 5}, "model"),
        ({"model": "digits"}, "model"),
    ],
)
def test_wrong_values_are_refused_by_name(
    service: Service, members: dict[str, object], param: str | None
) -> None:
    error = problem(ask(service, **members), 400)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty", "temperature"])
def test_numbers_that_are_not_finite_are_refused(service: Service, name: str, number: str) -> None:
    body = f'{{"model": "writer", "prompt": "a", "{name}": {number}}}'
    problem(service.client.post(PATH, content=body.encode()), 400)


def test_everything_about_sampling_reaches_the_engine(service: Service) -> None:
    given = {
        "min_p": 0.1,
        "repetition_penalty": 1.5,
        "presence_penalty": -1.0,
        "frequency_penalty": 2.0,
        "min_tokens": 1,
    }
    more = {"stop_token_ids": [7], "ignore_eos": True, "logit_bias": {"5": -100}}
    assert ask(service, **given, **more, max_tokens=2, top_k=-1).status_code == 200
    sampling = service.pool.requests[-1].sampling
    assert {name: getattr(sampling, name) for name in given} == given
    assert (sampling.stop_token_ids, sampling.ignore_stop, sampling.top_k) == ((0, 7), True, 0)
    assert sampling.logit_bias == ((5, -100.0),)


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"guided_json": {"type": "object"}}, Constraint("json_schema", '{"type": "object"}')),
        ({"guided_regex": "a+"}, Constraint("regex", "a+")),
        ({"guided_grammar": 'start: "a"'}, Constraint("grammar", 'start: "a"')),
        ({"guided_choice": ["a", 'b"']}, Constraint("grammar", 'start: "a" | "b\\""')),
        ({"structured_outputs": {"regex": "a+"}}, Constraint("regex", "a+")),
        ({"structured_outputs": {"json": {}}}, Constraint("json_schema", "{}")),
        ({"response_format": {"type": "json_object"}}, Constraint("json_object")),
        ({"response_format": {"type": "text"}}, None),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"type": "array"}, "strict": True},
                }
            },
            Constraint("json_schema", '{"type": "array"}'),
        ),
    ],
)
def test_every_name_for_the_answers_form_reaches_the_engine(
    service: Service, members: dict[str, object], wanted: Constraint | None
) -> None:
    assert ask(service, **members).status_code == 200
    assert service.pool.requests[-1].sampling.constraint == wanted


def test_logprobs_have_openais_parallel_lists(service: Service) -> None:
    choice = ask(service, prompt="ab", seed=0, max_tokens=2, logprobs=2).json()["choices"][0]
    assert choice["logprobs"] == {
        "tokens": ["x", " "],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"x": -0.5, "!": -1.0}, {" ": -0.5, "!": -1.0}],
        "text_offset": [0, 1],
    }


@pytest.mark.parametrize("is_streamed", [False, True])
def test_how_likely_a_prompt_is_can_be_asked_alone(service: Service, is_streamed: bool) -> None:
    more = {"echo": True, "logprobs": 0, "max_tokens": 0, "stream": is_streamed}
    response = ask(service, prompt="abc", **more)
    body = response.json() if not is_streamed else None
    chunks = [body] if body else [chunk for chunk in chunks_of(response) if chunk["choices"]]
    text = "".join(chunk["choices"][0]["text"] for chunk in chunks)
    assert text == "abc"
    found = chunks[0]["choices"][0]["logprobs"]
    assert found["tokens"] == ["a", "b", "c"]
    assert found["token_logprobs"] == [None, -0.25, -0.25]
    if body:
        assert body["usage"] == used(3, 0)


def chunks_of(response: Response) -> list[Any]:
    """The JSON of every event; the last must be OpenAI's."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, end = response.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize(
    "more", [{}, {"n": 3}, {"echo": True}, {"stop": "return"}, {"logprobs": 1}]
)
def test_a_streams_pieces_make_the_whole_answer(service: Service, more: dict[str, Any]) -> None:
    given = {"seed": 0, "max_tokens": 12, **more}
    whole = ask(service, **given).json()
    usage = {"stream_options": {"include_usage": True}}
    *chunks, last = chunks_of(ask(service, **given, stream=True, **usage))
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert {chunk["id"] for chunk in chunks} == {last["id"]}
    for choice in whole["choices"]:
        parts = [part for c in chunks for part in c["choices"] if part["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        reasons = [part["finish_reason"] for part in parts]
        assert reasons[-1] == choice["finish_reason"]
        assert set(reasons[:-1]) <= {None}
        if choice["logprobs"]:
            lists = [part["logprobs"] for part in parts if part["logprobs"]]
            for name, values in choice["logprobs"].items():
                assert [value for found in lists for value in found[name]] == values


def test_a_refusal_before_the_first_token_is_no_stream(service: Service) -> None:
    error = problem(ask(service, prompt="a" * CONTEXT_TOKENS, stream=True), 400)
    assert error["code"] == "context_length_exceeded"


def test_a_stream_that_takes_too_long_ends_with_an_error_event(service: Service) -> None:
    before = service.pool.cancelled
    settings = service.app.state.settings
    service.app.state.settings = settings.model_copy(update={"request_timeout_s": 0.3})
    service.pool.is_endless = True
    try:
        chunks = chunks_of(ask(service, stream=True))
    finally:
        service.pool.is_endless = False
        service.app.state.settings = settings
    assert chunks[0]["choices"][0]["text"]
    assert chunks[-1]["error"]["code"] == "deadline"
    assert service.pool.cancelled == before + 1


def test_an_unknown_model_is_a_404_in_openais_words(service: Service) -> None:
    error = problem(ask(service, model="gpt-5"), 404)
    assert error["code"] == "model_not_found"


@pytest.mark.parametrize(
    "members",
    [{"prompt": "a" * CONTEXT_TOKENS}, {"max_tokens": CONTEXT_TOKENS}, {"prompt": [1] * 70}],
)
def test_more_than_the_context_is_a_400_in_openais_words(
    service: Service, members: dict[str, object]
) -> None:
    assert problem(ask(service, **members), 400)["code"] == "context_length_exceeded"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 10_000, b"\xff"])
def test_broken_bodies_are_400(service: Service, body: bytes) -> None:
    problem(service.client.post(PATH, content=body), 400)


def test_a_body_beyond_the_limit_is_a_413(service: Service) -> None:
    problem(service.client.post(PATH, content=b"a" * (5 << 20)), 413)


def test_one_bad_prompt_among_many_is_named(service: Service) -> None:
    error = problem(ask(service, prompt=["ok", "a" * CONTEXT_TOKENS]), 400)
    assert str(error["message"]).startswith("instance 1: ")


def test_an_answer_that_takes_too_long_is_a_504_and_its_work_is_cancelled(
    service: Service,
) -> None:
    before = service.pool.cancelled
    settings = service.app.state.settings
    service.app.state.settings = settings.model_copy(update={"request_timeout_s": 0.05})
    service.pool.is_endless = True
    try:
        error = problem(ask(service), 504)
    finally:
        service.pool.is_endless = False
        service.app.state.settings = settings
    assert error["type"] == "server_error"
    assert service.pool.cancelled == before + 1


def test_tokens_and_the_first_ones_time_are_counted(service: Service) -> None:
    key = next(model.key for model in service.registry if model.key.name == "writer")
    meters = service.metrics.model(key)
    written = meters.written
    before = written.prompt_tokens, written.generation_tokens, written.time_to_first_token.count
    ask(service, max_tokens=5)
    after = written.prompt_tokens, written.generation_tokens, written.time_to_first_token.count
    assert [b - a for a, b in zip(before, after, strict=True)] == [3, 5, 1]
