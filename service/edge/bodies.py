"""Around the application: compressed bodies come to it plain, and JSON that is nested too deeply does not.

Works when a route first reads the body, so that a refusal takes the form that the route's callers expect.
The body is complete and bounded by then; here it is bounded once more, after decompression.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import SlipwayError
from service import encodings
from service.offload import offload
from service.strict_json import check_depth

_STRIPPED = (b"content-encoding", b"content-length")


class BodyGuard:
    """ASGI layer. Leaves a request alone that has no body, or one in an unknown encoding: the route
    knows how to say that."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            encoding = encodings.encoding_of(headers)
        except SlipwayError:
            encoding = None
        if encoding is not None:
            kept = [pair for pair in scope["headers"] if pair[0] not in _STRIPPED]
            scope = {**scope, "headers": kept}
        is_json = _is_json(headers)
        if encoding is not None or is_json:
            receive = _Reader(receive, encoding, is_json, self._max_body_bytes).receive
        await self._app(scope, receive, send)


class _Reader:
    """The whole body at once, plain and looked over; then what else comes, as it comes."""

    def __init__(
        self, receive: Receive, encoding: bytes | None, is_json: bool, most_bytes: int
    ) -> None:
        self._receive = receive
        self._encoding = encoding
        self._is_json = is_json
        self._most_bytes = most_bytes
        self._is_read = False

    async def receive(self) -> Message:
        """Raises BodyTooLarge, BadRequest, BadJson."""
        if self._is_read:
            return await self._receive()
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        self._is_read = True
        body = b"".join(parts)
        if self._encoding is not None:
            # Always elsewhere: a few bytes may stand for all that is allowed.
            body = await offload(encodings.decompress, body, self._encoding, self._most_bytes)
        if self._is_json:
            check_depth(body)
        return {"type": "http.request", "body": body, "more_body": False}


def _is_json(headers: dict[bytes, bytes]) -> bool:
    """Also what names no type, or a form, as curl does: some routes take it for JSON. Not a body with
    binary tensors, whose JSON is looked at where its length is known."""
    if b"inference-header-content-length" in headers:
        return False
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind in (b"", b"application/json", b"application/x-www-form-urlencoded") or (
        kind.endswith(b"+json")
    )
