"""The one place where an error becomes an answer; body, log and counter use the same word.

Body: `{"error": text, "code": reason, "request_id": id}`. Routes that speak another dialect catch
SlipwayError themselves and shape it from the same fields.
"""

import math

import orjson
from starlette.responses import Response

from models.errors import SlipwayError


class Json(Response):
    """A JSON answer through orjson, numpy arrays included."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


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
