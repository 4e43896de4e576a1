"""The hot path: a POST to a known infer path is answered inside the protocol.

No scope, no task, no future: body → decode → batcher, and from the batcher's call-back the answer in one
write. What happens here happens for every request, so whatever can be is prepared once: per model the
endpoint, per distinct head what its headers mean, per second the first lines of an answer. Everything
out of the ordinary is left to the application, whose route gives the same answers more slowly.
"""

import asyncio
import logging
from dataclasses import dataclass, replace

from models.errors import SlipwayError
from service.edge.head import Head
from service.inference import Asked, InferEndpoint, read_headers
from service.observability.observe import Observer
from service.quota import CallerQuota
from service.registry import ModelRegistry, ServedModel
from service.timeouts import Timeouts

_log = logging.getLogger("slipway.lane")

ENDPOINT = "/v2/infer"

_MOST_KNOWN_HEADS = 512
_LONGEST_KNOWN_HEAD = 2048
# Different in every request, so remembering the head would help nobody.
_UNIQUE = (b"x-request-id", b"traceparent", b"x-request-timeout-ms")
_UNUSUAL = (b"upgrade", b"content-encoding")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the lane answers requests with one head. `path` is for the log."""

    endpoint: InferEndpoint
    asked: Asked
    path: str


class Lane:
    """Shared by all connections of a server; follows the registry. `known`: heads of former requests,
    byte for byte, because a client that stays sends the same head again and again."""

    def __init__(
        self,
        registry: ModelRegistry,
        observer: Observer,
        *,
        timeouts: Timeouts,
        compress_above_bytes: int = 0,
        quota: CallerQuota | None = None,
    ) -> None:
        self.observer = observer
        self.known: dict[bytes, Head] = {}
        self.default_headers: list[tuple[bytes, bytes]] = []
        self.first_lines = b""
        self.compressing: set[asyncio.Task[None]] = set()
        self.quota = quota
        self._registry = registry
        self._timeouts = timeouts
        self._compress_above_bytes = compress_above_bytes
        self._endpoints: dict[bytes, InferEndpoint] = {}
        self._by_model: dict[ServedModel, InferEndpoint] = {}
        registry.on_change(self._rebuild)

    def planned(self, head: Head) -> Head:
        """The same head, with a plan where the lane can answer it."""
        endpoint = self._endpoints.get(head.target)
        if endpoint is None or head.method != "POST" or head.body_bytes is None:
            return head
        if any(name in head.headers for name in _UNUSUAL):
            return head
        try:
            asked = read_headers(head.headers)
        except SlipwayError:  # the application says so, in the same words
            return head
        head = replace(head, plan=Plan(endpoint, asked, head.path))
        if len(head.raw) <= _LONGEST_KNOWN_HEAD and not any(n in head.headers for n in _UNIQUE):
            if len(self.known) >= _MOST_KNOWN_HEADS:
                self.known.clear()
            self.known[head.raw] = head
        return head

    def first(self, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Status line and the server's own headers up to the request's id; made once per list."""
        if default_headers is not self.default_headers:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in default_headers)
            self.first_lines = b"HTTP/1.1 200 OK\r\n" + lines + b"x-request-id: "
            self.default_headers = default_headers
        return self.first_lines

    def _rebuild(self) -> None:
        self.known.clear()
        self._by_model = {
            model: self._by_model.get(model)
            or InferEndpoint(model, self._timeouts, self._compress_above_bytes)
            for model in self._registry
            if model.state == "ready"
        }
        self._endpoints = {
            f"/v2/models/{model.key.name}/versions/{model.key.version}/infer".encode(): endpoint
            for model, endpoint in self._by_model.items()
        }
        for model in self._registry.newest():
            if model in self._by_model:
                path = f"/v2/models/{model.key.name}/infer".encode()
                self._endpoints[path] = self._by_model[model]
