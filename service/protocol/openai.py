"""OpenAI's dialect: its request and answer shapes, and its error object.

Sources: OpenAI's API reference and what its Python client parses. A member that this server cannot
honour is refused by name rather than ignored, because the answer would not be what was asked for.
"""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Literal, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from starlette.responses import Response

from models.errors import SlipwayError, TextTooLong
from service.errors import RequestError, UnknownModel
from service.responses import Json, retry_after

_log = logging.getLogger("slipway.openai")

MAX_CHOICES = 16
_FORMS = {"str", "int", "float", "bool", "dict", "list", "is_instance"}
TEXT_FORMS = "text, token ids, or a list of either"

TokenIds = list[StrictInt]
Prompts = str | TokenIds | list[str] | list[TokenIds]


class ParameterInvalid(RequestError):
    """A member of the request is missing, wrong or not supported; `param` is its name."""

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.param = param


class OpenAIRequest(BaseModel):
    """Unknown members are refused. `unsupported`: member → the values that change nothing. `forms`: member
    that has several forms → these in words."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    unsupported: ClassVar[dict[str, tuple[object, ...]]] = {}
    forms: ClassVar[dict[str, str]] = {"prompt": TEXT_FORMS}


def body_of(kind: type[BaseModel]) -> dict[str, object]:
    """The request body for the OpenAPI document: these routes read it themselves. Its definitions stand in
    `$defs` until the document takes them in (`service.openapi`)."""
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


RequestT = TypeVar("RequestT", bound=OpenAIRequest)


def parse(kind: type[RequestT], document: object) -> RequestT:
    """Raises ParameterInvalid naming the first member that is wrong, unknown or not supported."""
    if not isinstance(document, dict):
        raise ParameterInvalid("the body must be a JSON object", None)
    members = dict(document)
    for name, harmless in kind.unsupported.items():
        value = members.pop(name, None)
        if value is not None and value not in harmless:
            raise ParameterInvalid(f"{name!r} is not supported by this server", name)
    try:
        return kind.model_validate(members)
    except ValidationError as error:
        raise _parameter_invalid(error, kind.forms) from error


def bounded(name: str, value: int | None, highest: int) -> int:
    """`value`, 1 when absent. Raises ParameterInvalid outside 1…`highest`."""
    number = 1 if value is None else value
    if not 1 <= number <= highest:
        raise ParameterInvalid(f"{name!r} must be from 1 to {highest}", name)
    return number


def _parameter_invalid(error: ValidationError, forms: dict[str, str]) -> ParameterInvalid:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])[:64]
    path = _path(first["loc"])
    if first["type"] == "extra_forbidden":
        return ParameterInvalid(f"unrecognized request argument: {path!r}", path)
    if first["type"] == "missing":
        return ParameterInvalid(f"you must provide {path!r}", path)
    if len(first["loc"]) > 1 and name in forms:
        return ParameterInvalid(f"{name!r} must be {forms[name]}", name)
    message = first["msg"]
    return ParameterInvalid(f"{path!r}: {message[0].lower()}{message[1:]}", path)


def _path(loc: tuple[int | str, ...]) -> str:
    """OpenAI's way of naming a member within members: `messages[0].role`. What pydantic adds for the forms
    of a union is left out."""
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not path or (part.isidentifier() and part not in _FORMS):
            path += f".{part}" if path else part
    return path[:128]


def error_object(error: SlipwayError) -> dict[str, object]:
    """OpenAI's error object; `code` is our reason, or OpenAI's own word where it has one."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    if error.status == 429:
        kind = "rate_limit_error"
    code = error.reason
    if isinstance(error, UnknownModel):
        code = "model_not_found"
    elif isinstance(error, TextTooLong):
        code = "context_length_exceeded"
    param = getattr(error, "param", None) or getattr(error, "option", None)
    return {"error": {"message": error.public, "type": kind, "param": param, "code": code}}


Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class OpenAIRoute(APIRoute):
    """Answers errors in OpenAI's shape instead of ours; the log and the counters see the same reason."""

    @staticmethod
    def shape(error: SlipwayError) -> dict[str, object]:
        return error_object(error)

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except SlipwayError as error:
                request.scope["slipway.reason"] = error.reason
                if error.status == 500:
                    _log.error("%s", error, exc_info=error)
                seconds = retry_after(error)
                headers = {} if seconds is None else {"retry-after": seconds}
                return Json(self.shape(error), error.status, headers)

        return handle


class ModelObject(BaseModel):
    """One object for two dialects: OpenAI reads id to owned_by, KServe reads name and ready."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time of publication")
    owned_by: str = "slipway"
    name: str
    ready: bool
    version: int
    versions: list[int]
    task: str
    description: str
    runtime: str = Field(default="", description="what runs its graph; empty until that is settled")
    provider: str = Field(default="", description="where it computes")
    precision: str = Field(default="", description="which of the bundle's variants is served")
    selection: str = Field(default="", description="why this runtime and precision, in words")


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]
    models: list[str]
