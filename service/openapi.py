"""The OpenAPI document: FastAPI's own for the fixed paths, and one concrete operation per loaded model.

Every example in it is taken from the model's bundle and works when pressed. `x-slipway` on an operation
tells the pages in `service/web` what kind of model it is.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from models.blocks import ImagePreprocessing
from models.datatypes import BY_ONNX, DataType
from models.manifest import Manifest
from service.offload import offload
from service.registry import ModelRegistry, ServedModel
from service.tasks.base import ServiceTask
from service.tasks.examples import v2_example
from service.tasks.image_generation import ImageGeneration
from service.tasks.text_generation import TextGeneration

Document = dict[str, Any]
_REF = "#/components/schemas/{model}"


def build(app: FastAPI, models: Sequence[ServedModel]) -> Document:
    """Reads files of the bundles for the examples: call it off the event loop."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _define(schemas, Problem)
    operations: Document = {}
    for model in models:
        if model.is_ready and model.task is not None:
            operations |= _operations(model, model.task, schemas)
            _add_example(document["paths"], model, model.task)
    # The loaded models come first: they are what a reader is looking for.
    document["paths"] = operations | document["paths"]
    return document


class Problem(BaseModel):
    """What every refusal answers, but for OpenAI's routes, which answer OpenAI's error object."""

    error: str
    code: str
    request_id: str


def _operations(model: ServedModel, task: ServiceTask, schemas: Document) -> Document:
    name = model.key.name
    operations = {f"/v1/models/{name}/predict": {"post": _typed(model, task, schemas)}}
    body = v2_example(model.bundle)
    if model.batcher is not None and body is not None:
        operations[f"/v2/models/{name}/infer"] = {"post": _infer(model.manifest, body)}
    return operations


def _typed(model: ServedModel, task: ServiceTask, schemas: Document) -> Document:
    name, manifest = model.key.name, model.manifest
    _define(schemas, task.answer)
    answer = _REF.format(model=task.answer.__name__)
    content: Document = {"application/json": _json_body(task)}
    if task.media_types:
        content["multipart/form-data"] = {"schema": _form_schema(task)}
    for media_type in task.media_types:
        content[media_type] = {"schema": {"type": "string", "format": "binary"}}
    return {
        "tags": [name],
        "summary": f"Ask {name}",
        "description": f"{manifest.description or manifest.task} · version {model.key.version}",
        "operationId": f"predict_{name}",
        "requestBody": {"required": True, "content": content},
        "responses": _responses(_prediction_schema({"$ref": answer})),
        "x-slipway": {
            "model": name,
            "version": model.key.version,
            "task": manifest.task,
            "description": manifest.description,
            "field": task.field,
            "media_types": list(task.media_types),
            "labels": list(getattr(task, "labels", []))[:1000],
            "options": _option_schemas(task),
            "picture": _picture(manifest),
        },
    }


def _picture(manifest: Manifest) -> Document | None:
    """What the page must know to offer a drawing board."""
    block = manifest.preprocessing
    if not isinstance(block, ImagePreprocessing):
        return None
    return block.model_dump(include={"width", "height", "channel_order"})


def _json_body(task: ServiceTask) -> Document:
    instance = task.instance_schema()
    many = {"type": "array", "items": instance, "minItems": 1}
    properties = {task.field: {"anyOf": [instance, many]}, **_option_schemas(task)}
    schema = {"type": "object", "properties": properties, "required": [task.field]}
    return {"schema": schema, "example": {task.field: task.example()}}


def _form_schema(task: ServiceTask) -> Document:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return {"type": "object", "properties": {"file": files, **_option_schemas(task)}}


def _option_schemas(task: ServiceTask) -> Document:
    schema = task.options.model_json_schema()
    properties: Document = schema.get("properties", {})
    return properties


def _prediction_schema(answer: Document) -> Document:
    properties = {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "request_id": {"type": "string"},
        "predictions": {"type": "array", "items": answer},
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def _infer(manifest: Manifest, body: Document) -> Document:
    inputs = ", ".join(
        f"{spec.name} {BY_ONNX[DataType(spec.dtype)].v2}[{', '.join(map(str, spec.shape))}]"
        for spec in manifest.inputs
    )
    return {
        "tags": [manifest.name],
        "summary": "Tensors in, tensors out (Open Inference Protocol V2)",
        "description": f"inputs: {inputs}",
        "operationId": f"infer_{manifest.name}",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}, "example": body}},
        },
        "responses": _responses({"type": "object"}),
    }


def _responses(schema: Document) -> Document:
    problem = {"application/json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    refusals = {
        "400": "the request is wrong",
        "413": "too large",
        "415": "a content type that is not read here",
        "422": "the input cannot be used",
        "503": "try again later",
    }
    answers: Document = {
        "200": {"description": "the answer", "content": {"application/json": {"schema": schema}}}
    }
    return answers | {
        status: {"description": text, "content": problem} for status, text in refusals.items()
    }


def _add_example(paths: Document, model: ServedModel, task: ServiceTask) -> None:
    """Give OpenAI's routes the first loaded model that answers there."""
    name = model.key.name
    if isinstance(task, TextGeneration):
        path = "/v1/completions"
        example = {"model": name, "prompt": task.example(), "max_tokens": 32, "seed": 1}
    elif isinstance(task, ImageGeneration):
        path, example = (
            "/v1/images/generations",
            {"model": name, "prompt": task.example(), "seed": 4},
        )
    else:
        return
    if path in paths:
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        content.setdefault("example", example)


def _define(schemas: Document, model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template=_REF)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema


class OpenApi:
    """The document as bytes, built anew only when what is served has changed."""

    def __init__(self) -> None:
        self._built_for: tuple[object, ...] | None = None
        self._body = b""

    async def render(self, app: FastAPI, registry: ModelRegistry) -> bytes:
        models = registry.newest()
        served = tuple((model.key, model.is_ready) for model in models)
        if served != self._built_for:
            document = await offload(build, app, models)
            self._body, self._built_for = orjson.dumps(document), served
        return self._body
