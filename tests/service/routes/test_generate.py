"""Triton's generate and generate_stream."""

import json

import pytest

from tests.service.bundles import CONTEXT_TOKENS
from tests.service.fakes import STORY, Service


@pytest.mark.parametrize("path", ["/v2/models/writer", "/v2/models/writer/versions/1"])
def test_text_in_text_out(service: Service, path: str) -> None:
    asked = {"id": "q1", "text_input": "ab", "parameters": {"max_tokens": 4, "seed": 0}}
    answer = service.client.post(f"{path}/generate", json=asked).json()
    assert answer == {
        "id": "q1",
        "model_name": "writer",
        "model_version": "1",
        "text_output": STORY[:4],
        "finish_reason": "length",
    }


def test_members_beside_the_text_are_parameters_and_the_input_may_come_back(
    service: Service,
) -> None:
    more = {"max_tokens": 3, "seed": 0, "stream": False, "priority": 2, "timeout": 5_000_000}
    asked = {"text_input": "ab", "exclude_input_in_output": False, **more}
    answer = service.client.post("/v2/models/writer/generate", json=asked).json()
    assert answer["text_output"] == f"ab{STORY[:3]}"
    request = service.pool.requests[-1]
    assert request.priority == 2
    assert request.deadline_s is not None
    assert 0 < request.deadline_s <= 5


def test_a_stream_is_the_same_in_pieces(service: Service) -> None:
    asked = {"text_input": "ab", "parameters": {"max_tokens": 6, "seed": 0}}
    response = service.client.post("/v2/models/writer/generate_stream", json=asked)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(e.removeprefix("data: ")) for e in response.text.split("\n\n") if e]
    assert "".join(event["text_output"] for event in events) == STORY[:6]
    assert events[-1]["finish_reason"] == "length"
    assert "finish_reason" not in events[0]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("writer/generate", {}, 400),
        ("writer/generate", {"text_input": 5}, 400),
        ("writer/generate", {"text_input": "a", "parameters": 3}, 400),
        ("writer/generate", {"text_input": "a", "temperature": -1}, 400),
        ("writer/generate", {"text_input": "a", "nonsense": 1}, 400),
        ("writer/generate_stream", {"text_input": "a" * CONTEXT_TOKENS}, 400),
        ("digits/generate", {"text_input": "a"}, 400),
        ("nobody/generate_stream", {"text_input": "a"}, 404),
        ("writer/versions/7/generate", {"text_input": "a"}, 404),
    ],
)
def test_refusals_are_v2s(service: Service, path: str, body: object, status: int) -> None:
    response = service.client.post(f"/v2/models/{path}", json=body)
    assert response.status_code == status, response.text
    assert isinstance(response.json()["error"], str)


def test_a_failure_after_the_first_event_is_the_last_event(service: Service) -> None:
    service.pool.is_endless = True
    try:
        asked = {"text_input": "a", "parameters": {"timeout": 300_000}}
        response = service.client.post("/v2/models/writer/generate_stream", json=asked)
    finally:
        service.pool.is_endless = False
    last = json.loads(response.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert (response.status_code, last["code"]) == (200, "deadline")
