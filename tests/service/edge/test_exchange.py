"""The fast lane on one connection: what it answers, what it lets through, and what it counts."""

import threading
import zlib
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InferenceFailed, SlipwayError
from service import encodings
from service.errors import QueueFull
from tests.service.edge.wire import BODY, KEY, PATH, request, served
from tests.service.loops import in_loop, until

BIG = orjson.dumps(
    {
        "inputs": [
            {"name": "x", "shape": [40, 2], "datatype": "FP32", "data": [1.5] * 80},
        ]
    }
)


@in_loop
async def test_infer_is_answered_without_the_application_in_one_write() -> None:
    async with served() as it:
        caller = it.connect()
        for path in (PATH, "/v2/models/m/versions/1/infer"):
            for _ in range(2):  # the second head is known
                writes = caller.wire.writes
                reply = await caller.ask(request(path=path))
                assert reply.status == 200
                assert reply.json()["outputs"][0]["data"] == [2.0, 4.0]
                assert reply.headers["content-type"] == "application/json"
                assert reply.headers["date"] == "today"
                assert {"x-request-id", "server-timing"} <= reply.headers.keys()
                assert caller.wire.writes == writes + 1
        assert caller.protocol.cycle is None
        assert not it.state.tasks
        assert it.model.meters.requests == {("/v2/infer", 200): 4}
        assert it.model.meters.in_flight == 0
        assert not caller.wire.is_closed


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("GET"), 405),
        (request(path="/v2/models/w/infer"), 404),
        (request(path=PATH + "?a=b"), 200),
        (request(path="/v2/models/%6d/infer"), 200),
        (request("POST", PATH, BODY, "upgrade: h2c", "connection: upgrade"), 200),
        (request("POST", PATH, BODY, "content-type: image/png"), 415),
        (request("POST", PATH, BODY, "x-request-timeout-ms: soon"), 400),
        (request("POST", PATH, BODY, "content-encoding: br"), 415),
        (request("GET", "/v2/health/live", b""), 200),
        (request("HEAD", "/v2/health/live", b""), 405),
    ],
)
@in_loop
async def test_everything_else_is_the_applications_and_the_connection_goes_on(
    data: bytes, status: int
) -> None:
    async with served() as it:
        caller = it.connect()
        if data.startswith(b"HEAD"):
            caller.send(data)
            await until(lambda: b"\r\n\r\n" in caller.wire.sent)
            assert caller.wire.sent.startswith(b"HTTP/1.1 %d" % status)
            assert caller.wire.sent.endswith(b"\r\n\r\n")
            caller.wire.sent.clear()
        else:
            assert (await caller.ask(data)).status == status
        assert caller.protocol.cycle is not None
        assert (await caller.ask(request())).status == 200
        assert (await caller.ask(data.replace(b"HEAD", b"GET"))).status in (status, 200)


@in_loop
async def test_the_lane_follows_the_registry() -> None:
    async with served() as it:
        caller = it.connect()
        assert (await caller.ask(request())).status == 200
        it.registry.remove(KEY)
        assert (await caller.ask(request())).status == 404


@in_loop
async def test_a_model_that_is_not_ready_is_left_to_the_router() -> None:
    async with served() as it:
        caller = it.connect()
        assert (await caller.ask(request())).status == 200
        it.model.pool.is_healthy = False  # type: ignore[misc]
        reply = await caller.ask(request())
        it.model.pool.is_healthy = True  # type: ignore[misc]
        assert (reply.status, reply.json()["code"]) == (503, "not_ready")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InferenceFailed("no", "secret detail"), 500, "inference_failed"),
        (ZeroDivisionError("secret"), 500, "inference_failed"),
        (QueueFull("full", 2.5), 503, "queue_full"),
    ],
)
@in_loop
async def test_a_failure_has_one_word_in_body_and_counter_and_the_connection_goes_on(
    error: Exception, status: int, code: str
) -> None:
    async with served() as it:
        it.error = error
        caller = it.connect()
        reply = await caller.ask(request())
        assert (reply.status, reply.json()["code"]) == (status, code)
        assert b"secret" not in reply.body
        assert reply.json()["request_id"] == reply.headers["x-request-id"]
        assert it.model.meters.failures == {code: 1}
        if isinstance(error, SlipwayError) and error.retry_after_s:
            assert reply.headers["retry-after"] == "3"
        it.error = None
        assert (await caller.ask(request())).status == 200


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"inputs":' + b"[" * 70 + b"]" * 70 + b"}"])
@in_loop
async def test_a_body_that_is_no_request_is_a_400(body: bytes) -> None:
    async with served() as it:
        caller = it.connect()
        assert (await caller.ask(request(body=body))).status == 400
        assert it.model.meters.in_flight == 0
        assert (await caller.ask(request())).status == 200


@in_loop
async def test_requests_sent_ahead_are_answered_in_order_one_after_the_other() -> None:
    async with served() as it:
        caller = it.connect()
        bodies = [BODY.replace(b'"data":[1,2]', b'"data":[%d,0]' % n) for n in range(3, 9)]
        mixed = [request(body=body) for body in bodies]
        mixed.insert(2, request("GET", "/v2/health/live", b""))
        mixed.insert(4, request(body=b"{"))
        caller.send(b"".join(mixed))
        replies = await caller.replies(len(mixed))
        assert [reply.status for reply in replies] == [200, 200, 200, 200, 400, 200, 200, 200]
        found = [r.json()["outputs"][0]["data"][0] for r in replies if b"outputs" in r.body]
        assert found == [2.0 * number for number in range(3, 9)]


@in_loop
async def test_a_thousand_bad_requests_in_one_packet_are_answered_one_by_one() -> None:
    async with served() as it:
        caller = it.connect()
        caller.send(request(body=b"{") * 1000)
        replies = await caller.replies(1000)
        assert {reply.status for reply in replies} == {400}


@in_loop
async def test_what_is_sent_ahead_without_end_is_not_read() -> None:
    async with served() as it:
        it.gate.clear()
        caller = it.connect()
        caller.send(request())
        while not caller.wire.is_paused:
            caller.send(request() * 100)
            assert len(caller.protocol._ahead) < 200_000
        it.gate.set()
        await until(lambda: not caller.wire.is_paused)


@pytest.mark.parametrize(
    ("line", "first"), [("connection: close", b"HTTP/1.1"), ("x-a: b", b"HTTP/1.0")]
)
@in_loop
async def test_a_last_request_is_answered_and_the_connection_closed(
    line: str, first: bytes
) -> None:
    async with served() as it:
        caller = it.connect()
        data = request("POST", PATH, BODY, line).replace(b"HTTP/1.1", first, 1)
        reply = await caller.ask(data)
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert caller.wire.is_closed


@in_loop
async def test_a_caller_that_leaves_withdraws_its_work_and_is_counted() -> None:
    async with served() as it:
        it.gate.clear()
        first = it.connect()
        first.send(request())
        await until(lambda: it.runs == 1)
        second = it.connect()
        second.send(request())
        batcher = it.model.batcher
        assert batcher is not None
        await until(lambda: batcher.pending_rows == 1)
        second.leave()
        assert batcher.pending_rows == 0
        assert it.model.meters.requests == {("/v2/infer", 499): 1}
        assert it.model.meters.dropped == {"cancelled": 1}
        it.gate.set()
        assert (await first.replies(1))[0].status == 200
        assert it.runs == 1
        assert it.model.meters.in_flight == 0


@in_loop
async def test_a_caller_that_leaves_during_its_run_disturbs_nobody() -> None:
    async with served() as it:
        it.gate.clear()
        callers = [it.connect() for _ in range(3)]
        for caller in callers:
            caller.send(request())
        await until(lambda: it.runs == 1)
        callers[1].leave()
        it.gate.set()
        for caller in (callers[0], callers[2]):
            assert (await caller.replies(1))[0].status == 200
        assert not callers[1].wire.sent


@in_loop
async def test_a_deadline_in_the_header_is_kept() -> None:
    async with served() as it:
        it.gate.clear()
        caller = it.connect()
        reply = await caller.ask(request("POST", PATH, BODY, "x-request-timeout-ms: 20"))
        assert (reply.status, reply.json()["code"]) == (504, "deadline")


@in_loop
async def test_ids_and_traces_of_the_caller_come_back() -> None:
    async with served() as it:
        caller = it.connect()
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        lines = ("x-request-id: mine-1", f"traceparent: {trace}")
        reply = await caller.ask(request("POST", PATH, BODY, *lines))
        assert reply.headers["x-request-id"] == "mine-1"
        assert reply.headers["traceparent"].startswith(trace[:36])
        assert (await caller.ask(request())).headers["x-request-id"] != "mine-1"


@in_loop
async def test_a_large_answer_is_compressed_for_who_accepts_it() -> None:

    async with served(compress_above_bytes=50) as it:
        caller = it.connect()
        plain = await caller.ask(request(body=BIG))
        for name, wbits in (("gzip", 31), ("deflate", 15)):
            reply = await caller.ask(request("POST", PATH, BIG, f"accept-encoding: br, {name}"))
            assert reply.headers["content-encoding"] == name
            assert zlib.decompress(reply.body, wbits) == plain.body
        reply = await caller.ask(request("POST", PATH, BIG, "accept-encoding: br, gzip;q=0"))
        assert "content-encoding" not in reply.headers


@in_loop
async def test_a_caller_that_leaves_while_its_answer_is_compressed_gets_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(encodings, "compress", lambda *_: gate.wait(10) and b"small")
    async with served(compress_above_bytes=50) as it:
        caller = it.connect()
        caller.send(request("POST", PATH, BIG, "accept-encoding: gzip"))
        await until(lambda: bool(it.edge.lane.compressing))
        caller.leave()
        gate.set()
        await until(lambda: not it.edge.lane.compressing)
        assert not caller.wire.sent
        assert it.model.meters.in_flight == 0


RECORDED = {
    "json": request(),
    "keep-alive and a path": request(path="/v2/models/m/versions/1/infer"),
    "health": request("GET", "/v2/health/live", b""),
    "chunked": b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (PATH.encode(), len(BODY), BODY),
}


@pytest.mark.parametrize("data", RECORDED.values(), ids=RECORDED.keys())
@given(choice=st.data())
@settings(max_examples=30, deadline=None)
def test_any_fragmentation_gives_the_same_answer(data: bytes, choice: Any) -> None:
    cuts = choice.draw(st.lists(st.integers(0, len(data)), max_size=12))
    edges = sorted({0, *cuts, len(data)})

    @in_loop
    async def ask() -> None:
        async with served() as it:
            caller = it.connect()
            whole = await caller.ask(data)
            for a, b in pairwise(edges):
                caller.send(data[a:b])
            (pieced,) = await caller.replies(1)
            assert (pieced.status, pieced.body) == (whole.status, whole.body)
            assert pieced.headers.keys() == whole.headers.keys()

    ask()
