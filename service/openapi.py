"""The OpenAPI document: FastAPI's own for the fixed paths, and concrete operations for each loaded model.

Every example in it is taken from a bundle and works when pressed. `x-slipway` on an operation tells the
pages in `service/web` what kind of model it is.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.offload import offload
from service.operations import Document, Examples, Problem, define, examples_of, operations_of
from service.registry import ModelRegistry, ServedModel
from service.tasks import open_task
from service.tasks.base import ServiceTask
from service.tasks.image_generation import ImageGeneration
from service.tasks.text_generation import TextGeneration

_V2_INFER = "/v2/models/{name}"
_GENERATES = ("/generate", "/generate_stream")


def build(app: FastAPI, models: Sequence[ServedModel]) -> Document:
    """Reads files of the bundles for the examples: call it off the event loop."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    define(schemas, Problem)
    _take_in_definitions(document["paths"], schemas)
    _correct_refusals(document)
    operations: Document = {}
    for model in models:
        if model.can_answer:
            task = model.task or open_task(model.bundle)  # a lazy model's, for this once
            examples = examples_of(model, task)
            operations |= operations_of(model, task, examples, schemas)
            _exemplify(document["paths"], model, task, examples)
    # The loaded models come first: they are what a reader is looking for.
    document["paths"] = operations | document["paths"]
    return document


def _take_in_definitions(paths: Document, schemas: Document) -> None:
    """Bodies that routes read themselves bring their definitions along; references to them mean ours."""
    for _, operation in _operations(paths):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            found = content.get("schema", {})
            if "$defs" in found:
                content["schema"] = {name: v for name, v in found.items() if name != "$defs"}
                schemas.update(found["$defs"])


def _correct_refusals(document: Document) -> None:
    """FastAPI announces a 422 of its own shape wherever a path has a parameter; it is never sent."""
    for _, operation in _operations(document["paths"]):
        if "HTTPValidationError" in str(operation["responses"].get("422", "")):
            del operation["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _operations(paths: Document) -> Iterator[tuple[str, Document]]:
    return ((path, operation) for path, item in paths.items() for operation in item.values())


def _exemplify(paths: Document, model: ServedModel, task: ServiceTask, examples: Examples) -> None:
    """Fill what has no example yet with this model, where it can answer."""
    name = model.key.name
    for path, operation in _operations(paths):
        if path.startswith(_V2_INFER) and path.endswith("/infer") and examples.v2 is None:
            continue
        if path.endswith(_GENERATES) and not isinstance(task, TextGeneration):
            continue
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["name"] in ("name", "version"):
                value = name if parameter["name"] == "name" else str(model.key.version)
                parameter.setdefault("example", value)
        body = _body(path, model.key.name, task, examples)
        if body is not None:
            content = operation.setdefault("requestBody", {}).setdefault("content", {})
            content.setdefault("application/json", {}).setdefault("example", body)


def _similarity(example: Any) -> Document:
    return {"inputs": {"source_sentence": example, "sentences": [example, f"{example} {example}"]}}


def _rerank(example: Any) -> Document:
    return {"query": example["text"], "texts": [example["text_pair"], example["text"]]}


# (path, task) → the body that asks a model of that task about its own example.
_OWN_BODIES: dict[tuple[str, str], Callable[[Any], Document]] = {
    ("/v1/embeddings", "sentence-embedding"): lambda example: {"input": example},
    ("/embed", "sentence-embedding"): lambda example: {"inputs": example},
    ("/similarity", "sentence-embedding"): _similarity,
    ("/rerank", "text-similarity"): _rerank,
    ("/predict", "text-classification"): lambda example: {"inputs": example},
    ("/tokenize", "sentence-embedding"): lambda example: {"inputs": example},
    ("/tokenize", "text-classification"): lambda example: {"inputs": example},
}


def _body(path: str, name: str, task: ServiceTask, examples: Examples) -> object:
    """What this model would be asked at a path that all models share; None: nothing."""
    example = examples.instance
    if path == "/v1/completions" and isinstance(task, TextGeneration):
        return {"model": name, "prompt": example, "max_tokens": 32, "seed": 1}
    if path == "/v1/chat/completions" and isinstance(task, TextGeneration) and task.chat:
        question = {"role": "user", "content": example}
        return {"model": name, "messages": [question], "max_tokens": 32, "seed": 1}
    if path.endswith(_GENERATES):
        return {"text_input": example, "parameters": {"max_tokens": 32, "seed": 1}}
    if path == "/v1/images/generations" and isinstance(task, ImageGeneration):
        return {"model": name, "prompt": example, "seed": 4}
    if (own := _OWN_BODIES.get((path, task.name))) is not None:
        return {"model": name, **own(example)}
    if path.startswith("/v1/models/{name}"):
        if path.endswith(":predict"):
            return {"instances": [example]}
        return {task.field: example} if path.endswith("/predict") else None
    if path.startswith(_V2_INFER) and path.endswith("/infer"):
        return examples.v2
    return None


class OpenApi:
    """The document as bytes, built anew only when what is served has changed."""

    def __init__(self) -> None:
        self._built_for: tuple[object, ...] | None = None
        self._body = b""

    async def render(self, app: FastAPI, registry: ModelRegistry) -> bytes:
        models = registry.newest()
        served = tuple((model.key, model.can_answer) for model in models)
        if served != self._built_for:
            document = await offload(build, app, models)
            self._body, self._built_for = orjson.dumps(document), served
        return self._body
