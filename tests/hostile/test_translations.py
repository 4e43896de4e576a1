"""Where an encoder–decoder answers, the same in every dialect, and where it says that it does not."""

import json
import urllib.request
from typing import Any

import pytest

from tests.hostile.asking import Caller, message_of
from tests.service.conftest import ServerProcess

pytestmark = pytest.mark.slow

PATH = "/v1/models/translator/predict"
TEXT = "Der Hund schläft."


def predicted(ask: Caller, **given: Any) -> Any:
    status, answer = ask.json(PATH, {"text": TEXT, **given})
    assert status == 200, answer
    return answer["predictions"][0]


def test_a_search_answers_the_same_beside_others(ask: Caller) -> None:
    alone = predicted(ask, n=3)
    texts = [TEXT, "a", TEXT, "ein anderer Satz, etwas länger"]
    status, answer = ask.json(PATH, {"text": texts, "n": 3})
    assert status == 200
    assert answer["predictions"][0] == answer["predictions"][2] == alone
    scores = [alone["score"], *(other["score"] for other in alone["alternatives"])]
    assert scores == sorted(scores, reverse=True)


def test_generate_says_what_predict_says(ask: Caller) -> None:
    for given in ({"num_beams": 1}, {"num_beams": 3}, {"temperature": 0.9, "seed": 5}):
        body = {"text_input": TEXT, "parameters": given}
        status, answer = ask.json("/v2/models/translator/generate", body)
        assert status == 200, answer
        assert answer["text_output"].strip() == predicted(ask, **given)["text"]


@pytest.mark.parametrize("beams", [1, 3])
def test_a_stream_adds_up_to_the_answer(ask: Caller, server: ServerProcess, beams: int) -> None:
    body = json.dumps({"text_input": TEXT, "num_beams": beams}).encode()
    url = f"{server.url}/v2/models/translator/generate_stream"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        lines = reply.read().decode().splitlines()
    events = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
    text = "".join(event["text_output"] for event in events)
    assert text.strip() == predicted(ask, num_beams=beams)["text"]
    assert beams == 1 or len(events) == 1


def test_the_dialects_of_other_models_refuse_with_a_sentence(ask: Caller) -> None:
    message = {"role": "user", "content": TEXT}
    tensor = {"name": "ids", "shape": [1, 1], "datatype": "INT64", "data": [0]}
    for path, body, word in (
        ("/v1/completions", {"model": "translator", "prompt": TEXT}, "text-to-text"),
        ("/v1/chat/completions", {"model": "translator", "messages": [message]}, "text-to-text"),
        ("/v2/models/translator/infer", {"inputs": [tensor]}, PATH),
    ):
        status, answer = ask.json(path, body)
        assert status == 400, answer
        assert word in message_of(answer)


def test_more_beams_than_the_model_has_slots_are_refused_with_the_number(ask: Caller) -> None:
    status, answer = ask.json(PATH, {"text": TEXT, "num_beams": 16})
    assert status == 400
    assert "8 slots" in message_of(answer)
