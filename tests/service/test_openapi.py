"""The document describes each loaded model, whatever it reads, and its examples work when pressed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.bundles import chat_bundle, language_bundle, tensor_bundle, writer_bundle
from tests.service.fakes import Service, serving
from tests.service.text_bundles import embedding_bundle, similarity_bundle

# Shared paths that answer for the only model of a kind, and whose example must be of that kind.
SHARED = {
    "/v1/embeddings": "sentences",
    "/embed": "sentences",
    "/similarity": "sentences",
    "/rerank": "pairs",
    "/predict": "language-id",
    "/tokenize": "language-id",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    repository = tmp_path_factory.mktemp("openapi") / "repository"
    makers = (embedding_bundle, similarity_bundle, language_bundle, tensor_bundle)
    with serving([make(repository) for make in makers]) as running:
        yield running


@pytest.fixture(scope="module")
def paths(service: Service) -> dict[str, Any]:
    return dict(service.client.get("/openapi.json").json()["paths"])


def example(operation: dict[str, Any]) -> Any:
    return operation["requestBody"]["content"]["application/json"].get("example")


@pytest.mark.parametrize("path", SHARED)
def test_a_shared_path_shows_a_request_to_a_model_of_its_kind(
    service: Service, paths: dict[str, Any], path: str
) -> None:
    body = example(paths[path]["post"])
    assert body["model"] == SHARED[path]
    reply = service.client.post(path, json=body)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("name", ["sentences", "pairs", "language-id"])
def test_each_models_own_example_works(service: Service, paths: dict[str, Any], name: str) -> None:
    path = f"/v1/models/{name}/predict"
    reply = service.client.post(path, json=example(paths[path]["post"]))
    assert reply.status_code == 200, reply.text


def test_options_are_described_for_the_model_that_takes_them(paths: dict[str, Any]) -> None:
    operation = paths["/v1/models/sentences/predict"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    wanted = {"truncate", "dimensions", "normalize", "encoding_format"}
    assert wanted <= schema["properties"].keys()
    assert all(schema["properties"][name]["description"] for name in wanted)


def test_a_pair_is_described_by_its_parts(paths: dict[str, Any]) -> None:
    operation = paths["/v1/models/pairs/predict"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    instance = schema["properties"]["pair"]["anyOf"][0]
    assert instance["required"] == ["text", "text_pair"]


def test_without_a_model_of_the_kind_a_path_shows_no_example(tmp_path: Any) -> None:
    with serving([tensor_bundle(tmp_path / "repository")]) as running:
        found = running.client.get("/openapi.json").json()["paths"]
    for path in SHARED:
        assert example(found[path]["post"]) is None


def test_paths_that_write_text_show_requests_that_work(tmp_path: Any) -> None:
    repository = tmp_path / "repository"
    makers = (tensor_bundle, writer_bundle, chat_bundle)
    with serving([make(repository) for make in makers]) as running:
        document = running.client.get("/openapi.json").json()
        for path in ("/v1/completions", "/v1/chat/completions"):
            reply = running.client.post(path, json=example(document["paths"][path]["post"]))
            assert reply.status_code == 200, reply.text
        for path in ("/v2/models/{name}/generate", "/v2/models/{name}/generate_stream"):
            operation = document["paths"][path]["post"]
            names = {each["name"]: each.get("example") for each in operation["parameters"]}
            reply = running.client.post(path.format(**names), json=example(operation))
            assert reply.status_code == 200, reply.text


def test_every_reference_of_the_document_leads_somewhere(service: Service) -> None:
    text = service.client.get("/openapi.json").text
    document = json.loads(text)
    references = set(re.findall(r'"\$ref":"#/([^"]+)"', text))
    assert "components/schemas/ChatMessage" in references
    for reference in references:
        found = document
        for part in reference.split("/"):
            found = found[part]
