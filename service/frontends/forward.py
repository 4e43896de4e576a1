"""Requests that only the primary can answer (load, unload, index), asked of a secondary.

The secondary sends the request to the primary as it is and the primary's answer back as it is: whichever
front end is asked, the answer is the same. It is counted, logged and limited where it arrived.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import SlipwayError
from service.frontends.control import Control
from service.responses import error_response

_LIMIT_S = 300.0  # a load may take as long as the examination of the model is allowed to
_CHANGES = re.compile(r"/v2/repository/.*/(load|unload)")


def is_forwarded(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return scope["type"] == "http" and path.startswith("/v2/repository/")


class Forward:
    """At a secondary, around its application."""

    def __init__(self, app: ASGIApp, control: Control) -> None:
        self._app = app
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_forwarded(scope):
            await self._app(scope, receive, send)
            return
        request_id = scope.get("slipway.request_id", "")
        try:
            body = await _read(receive)
            answer = await self._control.ask(
                "http",
                limit_s=_LIMIT_S,
                method=scope["method"],
                path=scope["path"],
                query=scope.get("query_string", b"").decode("latin-1"),
                headers=[[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
                body=body.decode("latin-1"),
                client=list(scope.get("client") or ()),
                request_id=request_id,
            )
        except SlipwayError as error:
            scope["slipway.reason"] = error.reason
            await error_response(error, request_id)(scope, receive, send)
            return
        if answer["reason"]:
            scope["slipway.reason"] = answer["reason"]
        headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in answer["headers"]]
        await send({"type": "http.response.start", "status": answer["status"], "headers": headers})
        await send({"type": "http.response.body", "body": answer["body"].encode("latin-1")})


class Forwarded:
    """At the primary, around its application: what changes the models is answered once every front end
    acts on it, so that the caller's next request finds the change wherever it arrives."""

    def __init__(self, app: ASGIApp, synced: Callable[[], Awaitable[None]]) -> None:
        self._app = app
        self._synced = synced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _CHANGES.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def send_late(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._synced()
            await send(message)

        await self._app(scope, receive, send_late)


async def answer_forwarded(app: ASGIApp, question: dict[str, Any]) -> dict[str, Any]:
    """Run the request in the primary's application."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": question["method"],
        "path": question["path"],
        "raw_path": question["path"].encode(),
        "root_path": "",
        "query_string": question["query"].encode("latin-1"),
        "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in question["headers"]],
        "client": tuple(question["client"]) or None,
        "slipway.request_id": question["request_id"],
    }
    sent: list[Message] = []
    parts = [{"type": "http.request", "body": question["body"].encode("latin-1")}]

    async def receive() -> Message:
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in sent[0].get("headers", [])]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return {
        "status": sent[0]["status"],
        "headers": headers,
        "body": body.decode("latin-1"),
        "reason": scope.get("slipway.reason", ""),
    }


async def _read(receive: Receive) -> bytes:
    """Raises what the limits around raise."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)
