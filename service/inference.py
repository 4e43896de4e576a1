"""The V2 infer endpoint itself: decode → batch → run → encode, from bytes to bytes.

Called by the fast lane on every request, and by the FastAPI route for whatever does not take that way.
"""

import asyncio
import time
from collections.abc import Mapping

from models.errors import SlipwayError
from service.errors import BadRequest, NotReady, UnsupportedMedia
from service.protocol.v2 import V2Codec
from service.registry import ServedModel

# curl names a form when it is given nothing else; its body is the JSON all the same.
_TYPES = {b"application/json", b"application/x-www-form-urlencoded", b""}

Headers = Mapping[bytes, bytes]


class InferEndpoint:
    """One model version's. Holds what can be prepared once."""

    def __init__(self, model: ServedModel, default_timeout_s: float) -> None:
        self.model = model
        self.label = str(model.key)
        self._codec = V2Codec(model.manifest)
        self._default_timeout_s = default_timeout_s
        self._clock = time.monotonic

    async def answer(self, headers: Headers, body: bytes) -> tuple[bytes, float, float]:
        """(the response's body, seconds in the queue, seconds in the graph). Raises SlipwayErrors."""
        arrived = self._clock()
        batcher = self.model.batcher
        if batcher is None:
            raise self._no_batcher()
        _check_headers(headers)
        request = self._codec.decode(body)
        timeout_s = request.timeout_s or _header_timeout_s(headers)
        ticket = batcher.enqueue(
            request.inputs,
            request.rows,
            deadline=arrived + (timeout_s or self._default_timeout_s),
            is_own_deadline=timeout_s is not None,
        )
        try:
            outputs = await ticket.future
        except asyncio.CancelledError:
            ticket.cancel()
            raise
        return self._codec.encode(outputs, request), ticket.queue_s, ticket.infer_s

    def _no_batcher(self) -> SlipwayError:
        if self.model.manifest.runner == "generation":
            return BadRequest(f"{self.model.key.name} generates text: ask it at /v1/completions")
        return NotReady(f"model {self.model.key} is not ready")


def _check_headers(headers: Headers) -> None:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in _TYPES:
        raise UnsupportedMedia(
            f"content type {kind.decode('latin-1')[:64]!r} is not taken here; send application/json"
        )
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise UnsupportedMedia("compressed bodies are not taken; send the plain bytes")


def _header_timeout_s(headers: Headers) -> float | None:
    """`x-request-timeout-ms`: what remains of the caller's own deadline."""
    given = headers.get(b"x-request-timeout-ms")
    if given is None:
        return None
    try:
        timeout_s = float(given) / 1e3
    except ValueError:
        timeout_s = -1.0
    if not 0 < timeout_s <= 1e6:
        raise BadRequest("x-request-timeout-ms must be a positive number of milliseconds")
    return timeout_s
