"""The V2 infer endpoint itself: headers and body → ticket, ticket → answer.

The fast lane calls the steps one by one, without a task or a future; the router calls `answer`, which is
the same steps awaited. Nothing here knows sockets or ASGI.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from models.errors import SlipwayError
from service import encodings
from service.batching.ticket import Ticket
from service.errors import BadRequest, NotReady, UnsupportedMedia
from service.offload import offload
from service.protocol.v2 import InferRequest, V2Codec
from service.registry import ServedModel
from service.timeouts import Timeouts, header_timeout_s

# curl names a form when it is given nothing else, tritonclient names nothing; what counts is the body.
_TYPES = {
    b"application/json",
    b"application/octet-stream",
    b"application/x-www-form-urlencoded",
    b"",
}
_JSON, _BINARY = b"application/json", b"application/octet-stream"
# Generation models by their task; the others at /v1/completions.
_ASKED_AT = {"text-to-text": "/v1/models/{name}/predict"}
_LENGTH = re.compile(rb"[0-9]{1,12}")

Headers = Mapping[bytes, bytes]


class Asked(NamedTuple):
    """What the headers say. `header_bytes`: length of the JSON that leads a binary body, 0 for a raw
    one, None for plain JSON. `encoding`: how the answer may be compressed."""

    header_bytes: int | None
    timeout_s: float | None
    encoding: bytes | None


class Answer(NamedTuple):
    """`header_bytes` as in the request; `encoding` as it was done."""

    body: bytes
    header_bytes: int | None = None
    encoding: bytes | None = None

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Without content-length."""
        if self.header_bytes is None:
            headers = [(b"content-type", _JSON)]
        else:
            headers = [
                (b"content-type", _BINARY),
                (b"inference-header-content-length", b"%d" % self.header_bytes),
            ]
        if self.encoding is not None:
            headers += [(b"content-encoding", self.encoding), (b"vary", b"accept-encoding")]
        return headers


def read_headers(headers: Headers) -> Asked:
    """Names in lower case. Raises UnsupportedMedia, BadRequest."""
    kind, _, parameters = headers.get(b"content-type", b"").partition(b";")
    kind = kind.strip().lower()
    if kind not in _TYPES:
        raise UnsupportedMedia(
            f"content type {kind.decode('latin-1')[:64]!r} is not taken here; send application/json "
            "or application/octet-stream"
        )
    charset = parameters.strip().lower().partition(b"charset=")[2].strip(b'"')
    if charset not in (b"", b"utf-8", b"utf8", b"us-ascii"):
        raise UnsupportedMedia("the JSON must be in UTF-8")
    if encodings.encoding_of(headers) is not None:
        raise UnsupportedMedia("the body is still compressed")  # undone before it comes here
    accept = headers.get(b"accept-encoding")
    return Asked(
        _header_bytes(headers),
        header_timeout_s(headers),
        None if accept is None else encodings.accepted(accept),
    )


class InferEndpoint:
    """One model version's. Holds what can be prepared once. `compress_above_bytes` 0: never."""

    def __init__(
        self, model: ServedModel, timeouts: Timeouts, compress_above_bytes: int = 0
    ) -> None:
        self.model = model
        self.label = str(model.key)
        self.codec = V2Codec.of(model.bundle)
        self._timeouts = timeouts
        self._compress_above_bytes = compress_above_bytes

    def enqueue(
        self,
        asked: Asked,
        request: InferRequest,
        arrived: float,
        on_done: Callable[[Ticket], None] | None = None,
        caller: bytes | None = None,
    ) -> Ticket:
        """`arrived`: monotonic seconds. Raises what the batcher refuses with."""
        batcher = self.model.batcher
        if batcher is None:
            raise self._no_batcher()
        # The lesser, should a caller send both: neither is to be outlasted.
        asked_s, header_s = request.timeout_s, asked.timeout_s
        if asked_s is None or (header_s is not None and header_s < asked_s):
            asked_s = header_s
        return batcher.enqueue(
            request.inputs,
            request.rows,
            deadline=arrived + self._timeouts.seconds(asked_s),
            is_own_deadline=asked_s is not None,
            priority=request.priority,
            on_done=on_done,
            caller=caller,
        )

    def is_worth_compressing(self, asked: Asked, body: bytes) -> bool:
        return asked.encoding is not None and 0 < self._compress_above_bytes < len(body)

    async def answer(
        self, headers: Headers, body: bytes, arrived: float, caller: bytes | None = None
    ) -> tuple[Answer, float, float]:
        """(answer, seconds in the queue, seconds in the graph). Raises SlipwayErrors."""
        meters = self.model.meters
        meters.in_flight += 1
        try:
            return await self._answer(headers, body, arrived, caller)
        finally:
            meters.in_flight -= 1

    async def _answer(
        self, headers: Headers, body: bytes, arrived: float, caller: bytes | None
    ) -> tuple[Answer, float, float]:
        asked = read_headers(headers)
        request = self.codec.decode(body, asked.header_bytes)
        ticket = self.enqueue(asked, request, arrived, caller=caller)
        try:
            outputs = await ticket.future
        except asyncio.CancelledError:
            ticket.cancel()
            raise
        answer = Answer(*self.codec.encode(outputs, request))
        if self.is_worth_compressing(asked, answer.body):
            answer = await compressed(answer, asked)
        return answer, ticket.queue_s, ticket.infer_s

    def _no_batcher(self) -> SlipwayError:
        if self.model.manifest.runner == "generation":
            name = self.model.key.name
            place = _ASKED_AT.get(self.model.manifest.task, "/v1/completions")
            return BadRequest(f"{name} generates text: ask it at {place.format(name=name)}")
        return NotReady(f"model {self.model.key} is not ready")


async def compressed(answer: Answer, asked: Asked) -> Answer:
    """The same answer, smaller; or as it is, where compressing it would not pay. Off the event loop."""
    assert asked.encoding is not None
    body = await offload(encodings.compress, answer.body, asked.encoding)
    return answer if body is None else Answer(body, answer.header_bytes, asked.encoding)


def _header_bytes(headers: Headers) -> int | None:
    given = headers.get(b"inference-header-content-length")
    if given is None:
        return None
    if not _LENGTH.fullmatch(given):
        raise BadRequest("inference-header-content-length must be one whole number of bytes")
    return int(given)
