"""Validation of a typed request: whatever form it came in → instances and options for the task.

    image/png, image/jpeg, image/webp, text/plain   the body is one instance; options in the query string
    multipart/form-data                             each file (or text field) is one; options are fields
    application/json                                {"<field>": one or many, option: …} or
                                                    {"instances": […], "parameters": {option: …}};
                                                    the parts of one object may stand by themselves

`parameters` may also hold V2's `timeout` and `priority`.

Which media types and which JSON field a model takes is its task's business. The body's size was limited
before it came here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from service import strict_json
from service.errors import BadRequest, UnsupportedMedia
from service.offload import offload
from service.pipeline import MAX_INSTANCES
from service.tasks.base import ServiceTask
from service.tasks.inputs import read_each
from service.terms import take_priority, take_timeout_s

T = TypeVar("T")

JSON, MULTIPART, BYTES = "application/json", "multipart/form-data", "application/octet-stream"
_MAX_FIELDS = 64
_INLINE_BYTES = 1 << 16
_MAX_FIELD_BYTES = 1 << 20
# TF Serving's clients send it; a bundle has one signature.
_IGNORED = {"signature_name"}


@dataclass(frozen=True)
class Intake:
    """What was asked. `options` are as the caller wrote them; the task validates them. `timeout_s` and
    `priority` are of the request, whatever the task: V2's parameters of these names."""

    instances: list[object]
    options: dict[str, object] = field(default_factory=dict)
    timeout_s: float | None = None
    priority: int = 0


async def read_typed(request: Request, task: ServiceTask) -> Intake:
    """Read any of the forms above. Raises BadJson, BadRequest, InputError or UnsupportedMedia."""
    media_type = content_type(request)
    query = _several(request.query_params.multi_items())
    if media_type == JSON:
        found = await read_document(request, from_json, task)
    elif media_type == MULTIPART:
        found = await _from_form(request, task)
    elif task.media_types and media_type in (*task.media_types, BYTES):
        found = Intake([task.read_bytes(await request.body())])
    else:
        takes = ", ".join((JSON, *task.media_types, MULTIPART) if task.media_types else (JSON,))
        hint = f" (send -H 'content-type: {JSON}')" if "urlencoded" in media_type else ""
        raise UnsupportedMedia(
            f"content type {media_type[:80]!r} is not read here{hint}; {takes} are"
        )
    return replace(found, options={**query, **found.options})


async def read_document(
    request: Request, read: Callable[[object, ServiceTask], Intake], task: ServiceTask
) -> Intake:
    """`read` the body's JSON; a long body is parsed, and its pictures unpacked, off the event loop."""
    return await with_document(request, lambda document: read(document, task))


async def with_document(request: Request, read: Callable[[object], T]) -> T:
    """What `read` makes of the body's JSON, for any dialect; off the event loop where the body is long."""
    body = await request.body()
    if len(body) > _INLINE_BYTES:
        return await offload(lambda: read(parse_json(body)))
    return read(parse_json(body))


def content_type(request: Request) -> str:
    """The media type in lower case; JSON when the caller names none. Raises UnsupportedMedia for a
    character set other than UTF-8, and for a compressed body."""
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMedia(
            f"content encoding {encoding[:40]!r} is not read here; send it plain"
        )
    media_type, _, parameters = request.headers.get("content-type", JSON).partition(";")
    for parameter in parameters.lower().split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia(f"charset {value[:40]!r} is not read here; send UTF-8")
    media_type = media_type.strip().lower()
    return JSON if media_type.endswith("+json") else media_type


def parse_json(body: bytes) -> object:
    """Raises BadJson naming the position. NaN, infinities, a key twice and more than 64 levels are
    refused."""
    return strict_json.loads(body)


def from_json(document: object, task: ServiceTask) -> Intake:
    """An object with the task's own field, or with `instances`; the rest are options."""
    members = _gathered(_object(document), task)
    given = [name for name in (task.field, "instances") if name in members]
    if len(given) != 1:
        raise BadRequest(f'send {{"{task.field}": …}} or {{"instances": […]}} to this model')
    value = members.pop(given[0])
    values = task.split(value) if given[0] == task.field else _list(value)
    parameters = _parameters(members)
    timeout_s, priority = take_timeout_s(parameters), take_priority(parameters)
    return Intake(read_each(values, task.read_json), {**parameters, **members}, timeout_s, priority)


def from_instances(document: object, task: ServiceTask) -> Intake:
    """TF Serving's and KServe's V1 form: `instances`, and `parameters` for the options."""
    members = _object(document)
    if "instances" not in members:
        raise BadRequest('send {"instances": […]}')
    values = _list(members.pop("instances"))
    options = _parameters(members)
    timeout_s, priority = take_timeout_s(options), take_priority(options)
    unknown = sorted(members.keys() - _IGNORED)
    if unknown:
        raise BadRequest(
            f'{unknown[0][:64]!r} is not part of this protocol; options belong in "parameters"'
        )
    return Intake(read_each(values, task.read_json), options, timeout_s, priority)


async def _from_form(request: Request, task: ServiceTask) -> Intake:
    async with request.form(
        max_files=MAX_INSTANCES, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
    ) as form:
        files = [
            (name, await part.read())
            for name, part in form.multi_items()
            if isinstance(part, UploadFile)
        ]
        if files and not task.media_types:
            raise UnsupportedMedia(f"{task.name} models take JSON, not files")
        options = _several(_texts(form))
    texts = options.pop(task.field, [])
    given = task.read_files(files)
    given += read_each(texts if isinstance(texts, list) else [texts], task.read_json, len(given))
    return Intake(given, options)


def _texts(form: FormData) -> Iterable[tuple[str, str]]:
    return ((name, part) for name, part in form.multi_items() if isinstance(part, str))


def _several(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """A repeated name becomes a list, as in `?stop=a&stop=b`."""
    gathered: dict[str, list[str]] = {}
    for name, value in pairs:
        gathered.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in gathered.items()}


def _gathered(members: dict[str, object], task: ServiceTask) -> dict[str, object]:
    """An instance whose parts stand beside the options, under the task's own field."""
    given = [name for name in task.parts if name in members]
    is_whole = task.field not in task.parts or given == [task.field]
    if "instances" in members or (task.field in members and is_whole):
        return members
    parts = {name: members.pop(name) for name in given}
    return {**members, task.field: parts} if parts else members


def _object(document: object) -> dict[str, object]:
    if not isinstance(document, Mapping):
        raise BadRequest("the body must be a JSON object")
    return dict(document)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise BadRequest('"instances" must be a list')
    return value


def _parameters(members: dict[str, object]) -> dict[str, object]:
    parameters = members.pop("parameters", {})
    if not isinstance(parameters, Mapping):
        raise BadRequest('"parameters" must be an object')
    return dict(parameters)
