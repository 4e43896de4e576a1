"""Every example of the OpenAPI document, of a server with a model of every task, works when pressed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.tasks import known
from tests.hostile.asking import Caller

pytestmark = pytest.mark.slow

NOT_HERE = {"text-generation"}  # tests/service/test_openapi.py and tests/service/routes have one


@pytest.fixture(scope="module")
def document(ask: Caller) -> dict[str, Any]:
    status, found = ask.get("/openapi.json")
    assert status == 200
    return dict(found)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        if "post" in item and "repository" not in path:
            yield _filled(path, item["post"]), item["post"]


def _filled(path: str, operation: dict[str, Any]) -> str:
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter.get("example", "")))
    return path


def _example(operation: dict[str, Any]) -> Any:
    return (
        operation.get("requestBody", {})
        .get("content", {})
        .get("application/json", {})
        .get("example")
    )


def test_each_example_works(ask: Caller, document: dict[str, Any]) -> None:
    pressed = 0
    for path, operation in _operations(document):
        if (body := _example(operation)) is not None:
            status, answer = ask.json(path, body)
            assert status == 200, (path, answer)
            pressed += 1
    assert pressed >= 2 * (len(known()) - len(NOT_HERE)), "typed and V2, for each model"


def test_each_loaded_model_has_an_operation_and_an_example_of_its_own(
    document: dict[str, Any],
) -> None:
    own = [op for _, op in _operations(document) if "x-slipway" in op]
    assert {op["x-slipway"]["task"] for op in own} == {e.name for e in known()} - NOT_HERE
    for operation in own:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert operation["x-slipway"]["field"] in schema["properties"]
        assert set(_example(operation)) <= set(schema["properties"])


def test_each_models_answer_has_the_members_that_its_own_schema_names(
    ask: Caller, document: dict[str, Any]
) -> None:
    for path, operation in _operations(document):
        if "x-slipway" not in operation:
            continue
        answer = ask.json(path, _example(operation))[1]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(schema["properties"]) == set(answer)
        reference = schema["properties"]["predictions"]["items"]["$ref"].rsplit("/", 1)[1]
        named = document["components"]["schemas"][reference]
        for prediction in answer["predictions"]:
            assert set(named.get("required", ())) <= set(prediction), path
            if named.get("properties"):
                assert set(prediction) <= set(named["properties"]), path


def test_every_reference_of_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])
