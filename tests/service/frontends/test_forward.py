"""A request that only the primary can answer is answered alike wherever it arrives."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from service.errors import UnknownModel
from service.frontends.control import Control, Message
from service.frontends.forward import Forward, Forwarded, answer_forwarded
from service.responses import error_response
from tests.service.asgi import call
from tests.service.loops import in_loop

LOAD = "/v2/repository/models/digits/load"


async def primary_app(scope: Any, receive: Any, send: Any) -> None:
    """Echoes what reached it; refuses the model `nothing`."""
    if "nothing" in scope["path"]:
        error = UnknownModel("there is no such model")
        scope["slipway.reason"] = error.reason
        await error_response(error, scope["slipway.request_id"])(scope, receive, send)
        return
    body = (await receive())["body"]
    told = {
        "path": scope["path"],
        "method": scope["method"],
        "query": scope["query_string"].decode(),
        "body": body.decode("latin-1"),
        "authorization": dict(scope["headers"]).get(b"authorization", b"").decode(),
    }
    headers = [(b"content-type", b"application/json"), (b"x-more", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(told)})


async def own_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Forward, Control]]:
    """A secondary's application, and the primary's end of its control channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    async def answer(question: Message) -> Message:
        return await answer_forwarded(primary_app, question)

    async def nothing(_: Message) -> Message:
        return {}

    def ignore(*_: object) -> None: ...

    primary = Control(ours, on_message=ignore, on_question=answer, on_end=ignore)
    secondary = Control(theirs, on_message=ignore, on_question=nothing, on_end=ignore)
    try:
        yield Forward(own_app, secondary), primary
    finally:
        primary.close()
        secondary.close()


@in_loop
async def test_a_change_reaches_the_primary_as_it_was_sent() -> None:
    async with connected() as (app, _):
        body = bytes(range(256)) * 1000
        headers = {"authorization": "Bearer secret"}
        exchange = await call(app, LOAD, body=[body[:10], body[10:]], headers=headers)
        assert exchange.status == 200
        assert exchange.headers["x-more"] == "1"
        told = exchange.json()
        assert told["body"].encode("latin-1") == body
        assert (told["path"], told["method"]) == (LOAD, "POST")
        assert told["authorization"] == "Bearer secret"


@in_loop
async def test_a_refusal_is_the_primarys_own() -> None:
    async with connected() as (app, _):
        exchange = await call(app, LOAD.replace("digits", "nothing"))
        assert (exchange.status, exchange.json()["code"]) == (404, "unknown_model")


@in_loop
async def test_other_requests_stay_where_they_are() -> None:
    async with connected() as (app, _):
        assert (await call(app, "/v2/models/digits")).status == 204
        assert (await call(app, "/v2/repositoryx")).status == 204


@in_loop
async def test_without_the_primary_it_is_a_503() -> None:
    async with connected() as (app, primary):
        primary.close()
        exchange = await call(app, LOAD)
        assert exchange.status == 503
        assert "retry-after" in exchange.headers


@in_loop
async def test_a_change_is_answered_once_every_front_end_acts_on_it() -> None:
    is_settled = asyncio.Event()
    waits = asyncio.Event()

    async def synced() -> None:
        waits.set()
        await is_settled.wait()

    app = Forwarded(own_app, synced)
    assert (await call(app, "/v2/repository/index")).status == 204
    assert not waits.is_set()
    changed = asyncio.create_task(call(app, LOAD))
    await waits.wait()
    assert not changed.done()
    is_settled.set()
    assert (await changed).status == 204
