"""V2 infer in the words of OpenAPI: what may be sent, and what comes back."""

from typing import Any

Document = dict[str, Any]

_MOST = 2**53

_INPUT_PARAMETERS: Document = {
    "type": "object",
    "properties": {
        "binary_data_size": {
            "type": "integer",
            "minimum": 0,
            "maximum": _MOST,
            "description": "the tensor's bytes follow the JSON, so many; then there is no data",
        }
    },
}
_INPUT: Document = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 2**40}},
        "datatype": {"type": "string", "examples": ["FP32"]},
        "data": {"type": "array", "items": {}, "description": "nested or flat, row-major"},
        "parameters": _INPUT_PARAMETERS,
    },
}
_OUTPUT: Document = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "parameters": {
            "type": "object",
            "properties": {
                "binary_data": {"type": "boolean", "description": "its bytes behind the JSON"},
                "classification": {
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 2**31,
                    "description": "the so many highest values, as value:index:label",
                },
            },
        },
    },
}
_PARAMETERS: Document = {
    "type": "object",
    "properties": {
        "priority": {
            "type": "integer",
            "minimum": 0,
            "maximum": 2**32 - 1,
            "description": "1 is the highest; 0 is the model's default",
        },
        "timeout": {
            "type": "integer",
            "minimum": 0,
            "maximum": 10**15,
            "description": "microseconds until the answer must be there; 0 is the server's default",
        },
        "binary_data_output": {
            "type": "boolean",
            "description": "all outputs in binary form, but for those that say otherwise",
        },
    },
}
REQUEST: Document = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "description": "comes back with the answer"},
        "parameters": _PARAMETERS,
        "inputs": {"type": "array", "items": _INPUT},
        "outputs": {
            "type": "array",
            "items": _OUTPUT,
            "description": "those that are wanted; all, when none is named",
        },
    },
}
RESPONSE: Document = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": {"type": "object"}},
    },
}
BINARY: Document = {
    "schema": {
        "type": "string",
        "format": "binary",
        "description": "the JSON, then the bytes of the tensors that have a binary_data_size, in the "
        "order of the JSON; or, with inference-header-content-length 0, one input's bytes alone",
    }
}
HEADERS: list[Document] = [
    {
        "name": "inference-header-content-length",
        "in": "header",
        "required": False,
        "schema": {"type": "integer", "minimum": 0, "maximum": _MOST},
        "description": "bytes of the JSON that leads a binary body; 0: there is none",
    },
    {
        "name": "x-request-timeout-ms",
        "in": "header",
        "required": False,
        "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 10**9},
        "description": "what remains of the caller's own deadline",
    },
]


def bodies(example: object = None) -> Document:
    """The request's content by media type."""
    json: Document = {"schema": REQUEST}
    if example is not None:
        json["example"] = example
    return {"application/json": json, "application/octet-stream": BINARY}


def answers() -> Document:
    """The response's content by media type."""
    return {"application/json": {"schema": RESPONSE}, "application/octet-stream": BINARY}
