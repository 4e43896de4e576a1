"""The OpenAPI operations of one loaded model: its own request and answer, with an example that works."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from models.blocks import ImagePreprocessing
from models.datatypes import BY_ONNX, DataType
from models.manifest import Manifest
from service.protocol import v2_openapi
from service.registry import ServedModel
from service.tasks.base import ServiceTask
from service.tasks.examples import v2_example

Document = dict[str, Any]
_REF = "#/components/schemas/{model}"


class Problem(BaseModel):
    """What every refusal answers, but for OpenAI's routes, which answer OpenAI's error object."""

    error: str
    code: str
    request_id: str


@dataclass(frozen=True)
class Examples:
    """Of one model: an instance in JSON form, and a V2 body where it takes one that can be shown."""

    instance: object
    v2: Document | None


def examples_of(model: ServedModel, task: ServiceTask) -> Examples:
    """Reads the bundle."""
    return Examples(
        task.example(), v2_example(model.bundle) if model.manifest.runner == "batch" else None
    )


def operations_of(
    model: ServedModel, task: ServiceTask, examples: Examples, schemas: Document
) -> Document:
    """Path → operations; the shapes they refer to are added to `schemas`."""
    name = model.key.name
    operations: Document = {
        f"/v1/models/{name}/predict": {"post": _typed(model, task, examples, schemas)}
    }
    if examples.v2 is not None:
        operations[f"/v2/models/{name}/infer"] = {"post": _infer(model.manifest, examples.v2)}
    return operations


def _typed(
    model: ServedModel, task: ServiceTask, examples: Examples, schemas: Document
) -> Document:
    name, manifest = model.key.name, model.manifest
    define(schemas, task.answer)
    answer = _REF.format(model=task.answer.__name__)
    content: Document = {"application/json": _json_body(task, examples.instance)}
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


def _json_body(task: ServiceTask, example: object) -> Document:
    instance = task.instance_schema()
    many = {"type": "array", "items": instance, "minItems": 1}
    properties = {task.field: {"anyOf": [instance, many]}, **_option_schemas(task)}
    schema = {"type": "object", "properties": properties, "required": [task.field]}
    return {"schema": schema, "example": {task.field: example}}


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
        "parameters": v2_openapi.HEADERS,
        "requestBody": {"required": True, "content": v2_openapi.bodies(body)},
        "responses": _responses(v2_openapi.RESPONSE),
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


def define(schemas: Document, model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template=_REF)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema
