"""The one place where an error becomes an answer; body, log and counter use the same word.

Body: `{"error": text, "code": reason, "request_id": id}`. Routes that speak another dialect catch
SlipwayError themselves and shape it from the same fields.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence

import orjson
from starlette.responses import Response

from models.errors import SlipwayError

# What is written in about half a millisecond, before other callers have their turn.
_SLICE_BYTES = 1 << 18


class Json(Response):
    """A JSON answer through orjson, numpy arrays included; bytes are JSON already."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        if isinstance(content, bytes):
            return content
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


async def json_list(
    rows: Sequence[object], head: Mapping[str, object] | None = None, member: str = ""
) -> bytes:
    """A JSON list of `rows` or, with `head`, that object with the list as its last `member`. Long lists
    are written in slices, between which the event loop serves others."""
    parts: list[bytes] = []
    size_bytes = 0
    for row in rows:
        part = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > _SLICE_BYTES:
            size_bytes = 0
            await asyncio.sleep(0)
    listed = b"[" + b",".join(parts) + b"]"
    if head is None:
        return listed
    opening = orjson.dumps({**head, member: 0}, option=orjson.OPT_SERIALIZE_NUMPY)
    return opening[:-2] + listed + b"}"


def error_body(error: SlipwayError, request_id: str) -> bytes:
    return orjson.dumps({"error": error.public, "code": error.reason, "request_id": request_id})


def retry_after(error: SlipwayError) -> str | None:
    """Whole seconds, as the header wants them; None when waiting does not help."""
    return None if error.retry_after_s is None else str(max(1, math.ceil(error.retry_after_s)))


def error_response(error: SlipwayError, request_id: str) -> Response:
    headers = {"content-type": "application/json"}
    seconds = retry_after(error)
    if seconds is not None:
        headers["retry-after"] = seconds
    return Response(error_body(error, request_id), error.status, headers)


class Internal(SlipwayError):
    """Stands for anything unexpected: reveals nothing, the log has the traceback under the request id."""

    def __init__(self) -> None:
        super().__init__("internal error; the server's log has the details under this request id")
