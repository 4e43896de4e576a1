"""One exchange with an ASGI application, without sockets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """What came back; `status` 0 when nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any,
    path: str = "/",
    *,
    method: str = "POST",
    body: bytes | Sequence[bytes] = b"",
    headers: Mapping[str, str] | None = None,
    receive: Any = None,
) -> Exchange:
    parts = [body] if isinstance(body, bytes) else list(body)
    sent: list[dict[str, Any]] = []

    async def receive_parts() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
    await app(scope, receive or receive_parts, send)
    status = sent[0]["status"] if sent else 0
    found = dict(sent[0]["headers"]) if sent else {}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Exchange(status, {k.decode(): v.decode() for k, v in found.items()}, content)
