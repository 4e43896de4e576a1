"""Answers as bytes, for what never reaches the application."""

from http import HTTPStatus

from models.errors import SlipwayError
from service.responses import error_body, retry_after

STATUS_LINES = {
    status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}
"""By number as well: HTTPStatus is an int."""


def refusal(
    error: SlipwayError,
    request_id: str,
    default_headers: list[tuple[bytes, bytes]],
    more: bytes = b"",
    *,
    closes: bool,
) -> bytes:
    """A whole answer with the usual error body. `more`: finished header lines."""
    body = error_body(error, request_id)
    lines = [STATUS_LINES[HTTPStatus(error.status)]]
    lines += [b"%b: %b\r\n" % pair for pair in default_headers]
    lines.append(b"x-request-id: %b\r\n" % request_id.encode("ascii"))
    seconds = retry_after(error)
    if seconds is not None:
        lines.append(b"retry-after: %b\r\n" % seconds.encode("ascii"))
    if closes:
        lines.append(b"connection: close\r\n")
    lines.append(
        b"%bcontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (more, len(body))
    )
    return b"".join([*lines, body])
