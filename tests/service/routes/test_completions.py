"""OpenAI's completions: the answer's shape, the error object, and what is refused by name."""

import pytest
from httpx import Response

from tests.service.bundles import CONTEXT_TOKENS
from tests.service.fakes import STORY, Service

PATH = "/v1/completions"


def ask(service: Service, **members: object) -> Response:
    return service.client.post(PATH, json={"model": "writer", "prompt": "def", **members})


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
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


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
    assert texts == [STORY[seed : seed + 4] for seed in (1, 2, 3)]
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 12, "total_tokens": 15}


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
        ({"stream": True}, "stream"),
        ({"suffix": "x"}, "suffix"),
        ({"logprobs": 1}, "logprobs"),
        ({"best_of": 3}, "best_of"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"presence_penalty": 1.5}, "presence_penalty"),
        ({"frequency_penalty": -1}, "frequency_penalty"),
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
