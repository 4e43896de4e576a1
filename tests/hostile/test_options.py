"""Options are validated by each task: a wrong value is a 400 that names the option, however it was sent."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from service.tasks import plugin
from tests.hostile import pictures
from tests.hostile.asking import Caller, b64, message_of

pytestmark = pytest.mark.slow

PICTURE = pictures.save(pictures.photo(), "PNG")
PAIR = {"text": "Who?", "text_pair": "Ada was here."}
QUESTION = {"question": "Who?", "context": "Ada was here."}

# Model → (task, a body that is answered, what the same is as a raw body).
MODELS: dict[str, tuple[str, dict[str, object], tuple[bytes, str] | None]] = {
    **{
        model: (task, {"image": b64(PICTURE)}, (PICTURE, "image/png"))
        for model, task in (
            ("digits", "image-classification"),
            ("image-embedding", "image-embedding"),
            ("object-detection", "object-detection"),
            ("semantic-segmentation", "semantic-segmentation"),
            ("visual-anomaly-detection", "visual-anomaly-detection"),
        )
    },
    **{
        model: (task, {"text": "Ada was here."}, (b"Ada was here.", "text/plain"))
        for model, task in (
            ("language-id", "text-classification"),
            ("sentences", "sentence-embedding"),
            ("entities", "token-classification"),
            ("translator", "text-to-text"),
        )
    },
    "pairs": ("text-similarity", PAIR, None),
    "answers": ("question-answering", QUESTION, None),
}


def wrong_values(task: str) -> Iterator[tuple[str, object]]:
    """For each option what its type, its bounds and its choices do not admit; and one that there is not."""
    yield "nonsense", 1
    properties: dict[str, Any] = plugin(task).options.model_json_schema()["properties"]
    for name, whole in properties.items():
        for schema in whole.get("anyOf", [whole]):
            yield from ((name, value) for value in _against(schema))


def _against(schema: dict[str, Any]) -> Iterator[object]:
    kind = schema.get("type")
    if kind in ("integer", "number"):
        yield "many"
        yield from _beyond(schema)
    elif kind == "boolean":
        yield "perhaps"
    elif "enum" in schema:
        yield "another"
    if kind == "integer":
        yield 1.5


def _beyond(schema: dict[str, Any]) -> Iterator[float]:
    step = 1 if schema["type"] == "integer" else 0.01
    if "minimum" in schema:
        yield schema["minimum"] - step
    if "exclusiveMinimum" in schema:
        yield schema["exclusiveMinimum"]
    if "maximum" in schema:
        yield schema["maximum"] + step


WRONG = [
    (model, name, value)
    for model, (task, _, _) in MODELS.items()
    for name, value in wrong_values(task)
]


def test_the_options_of_the_tasks_are_tried() -> None:
    tried = {name for _, name, _ in WRONG}
    assert tried >= {
        "top_k", "threshold", "truncate", "dimensions", "max_size", "format", "num_beams",
    }  # fmt: skip
    assert len(WRONG) > 70


@pytest.mark.parametrize("model", MODELS)
def test_a_wrong_option_is_named_however_it_is_sent(ask: Caller, model: str) -> None:
    _, body, raw = MODELS[model]
    path = f"/v1/models/{model}/predict"
    instance = next(iter(body.values())) if len(body) == 1 else body
    assert ask.json(path, body)[0] == 200
    for name, value in ((name, value) for own, name, value in WRONG if own == model):
        ways = [
            ask.json(path, {**body, name: value}),
            ask.json(path, {**body, "parameters": {name: value}}),
            ask.json(f"{path}?{urlencode({name: value})}", body),
            ask.json(
                f"/v1/models/{model}:predict",
                {"instances": [instance], "parameters": {name: value}},
            ),
        ]
        if raw is not None:
            ways.append(ask.post(f"{path}?{urlencode({name: value})}", *raw))
            ways.append(ask.upload(path, [raw[0]], {name: str(value)}))
        for status, answer in ways:
            assert status == 400, (name, value, answer)
            assert repr(name) in message_of(answer), (name, value, answer)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "null", "[]", "{}", '"\\u0000"'])
@pytest.mark.parametrize("model", MODELS)
def test_no_json_value_of_an_option_is_our_fault(ask: Caller, model: str, value: str) -> None:
    task, body, _ = MODELS[model]
    for name in plugin(task).options.model_fields:
        document = json.dumps(body)[:-1] + f', "{name}": {value}}}'
        status, _ = ask.post(f"/v1/models/{model}/predict", document.encode(), "application/json")
        assert status in (200, 400), (name, value)


def test_an_option_said_twice_is_refused(ask: Caller) -> None:
    path, data = "/v1/models/digits/predict?top_k=1&top_k=2", PICTURE
    status, answer = ask.post(path, data, "image/png")
    assert status == 400
    assert "'top_k'" in message_of(answer)


def test_options_do_what_they_say_in_the_query_and_in_json(ask: Caller) -> None:
    path, body = "/v1/models/digits/predict", {"image": b64(PICTURE)}
    for status, answer in (
        ask.json(path, {**body, "top_k": 2}),
        ask.post(f"{path}?top_k=2", PICTURE, "image/png"),
        ask.upload(path, [PICTURE], {"top_k": "2"}),
    ):
        assert status == 200
        assert len(answer["predictions"][0]["labels"]) == 2
