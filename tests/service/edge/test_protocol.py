"""What a connection may take, in bytes and in time; and how it ends."""

import pytest

from tests.service.edge.wire import BODY, PATH, request, served
from tests.service.loops import in_loop, until

CHUNKED = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()


@in_loop
async def test_headers_that_never_end_are_refused_while_they_come() -> None:
    async with served() as it:
        caller = it.connect()
        caller.send(b"GET / HTTP/1.1\r\nhost: x\r\n")
        sent = 0
        while not caller.wire.has_ended:
            caller.send(b"x-a: " + b"a" * 1000 + b"\r\n")
            sent += 1007
            assert sent < 64_000
        (reply,) = await caller.replies(1)
        assert (reply.status, reply.json()["code"]) == (431, "headers_too_large")
        caller.send(b"x" * 100_000)  # thrown away
        assert not caller.protocol._part


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x-%d: a\r\n" % n for n in range(300)), 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 33_000 + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000, 414),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: x\r\n", 414),
    ],
)
@in_loop
async def test_heads_beyond_measure_are_refused(data: bytes, status: int) -> None:
    async with served() as it:
        caller = it.connect()
        reply = await caller.ask(data + b"\r\n")
        assert (reply.status, reply.headers["connection"]) == (status, "close")


@pytest.mark.parametrize("line", ["x-a: b", "expect: 100-continue"])
@in_loop
async def test_a_body_announced_as_too_long_is_refused_before_it_comes(line: str) -> None:
    async with served() as it:
        caller = it.connect()
        head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\n{line}\r\ncontent-length: 2001\r\n\r\n"
        reply = await caller.ask(head.encode())
        assert (reply.status, reply.json()["code"]) == (413, "body_too_large")
        assert b"100 Continue" not in caller.wire.sent
        assert caller.wire.has_ended
        assert not caller.wire.is_closed  # or a reset might overtake the answer
        caller.send(b"x" * 3000)
        it.pass_time(3.0)
        assert caller.wire.is_closed


@in_loop
async def test_who_asks_whether_to_send_is_told() -> None:
    async with served() as it:
        caller = it.connect()
        for path in (PATH, PATH, "/v1/models/m:predict"):
            head, _, body = request("POST", path, BODY, "expect: 100-continue").partition(
                b"\r\n\r\n"
            )
            caller.send(head + b"\r\n\r\n")
            assert bytes(caller.wire.sent) == b"HTTP/1.1 100 Continue\r\n\r\n"
            caller.wire.sent.clear()
            caller.send(body)
            await caller.replies(1)


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (b"POST / HT", "request_timeout"),
        (request()[:-5], "request_timeout"),
        (CHUNKED + b"5\r\nab", "request_timeout"),
    ],
    ids=["head", "body", "chunks"],
)
@in_loop
async def test_a_request_that_stops_coming_gets_408(part: bytes, code: str) -> None:
    async with served() as it:
        caller = it.connect()
        assert (await caller.ask(request())).status == 200
        caller.send(part)
        it.pass_time(9.5)
        assert not caller.wire.sent
        it.pass_time(1.5)
        (reply,) = await caller.replies(1)
        assert (reply.status, reply.json()["code"]) == (408, code)
        assert it.metrics.other_failures == {code: 1}
        it.pass_time(3.0)
        assert caller.wire.is_closed


@in_loop
async def test_a_head_in_drips_is_given_up_however_lively_they_are() -> None:
    async with served() as it:
        caller = it.connect()
        for byte in b"GET / HTTP/1.1\r\nhost: a":
            caller.send(bytes([byte]))
            it.pass_time(1.0)
            if caller.wire.sent:
                break
        assert (await caller.replies(1))[0].status == 408


@in_loop
async def test_a_body_in_drips_is_given_up_after_its_whole_time() -> None:
    async with served() as it:
        caller = it.connect()
        caller.send(request(body=b"x" * 1000)[:-1000])
        seconds = 0
        while not caller.wire.sent:
            caller.send(b"x")
            it.pass_time(1.0)
            seconds += 1
        assert 59 <= seconds <= 62
        assert (await caller.replies(1))[0].status == 408


@in_loop
async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with served() as it:
        caller = it.connect()
        it.pass_time(11.0)
        assert caller.wire.is_closed
        assert not caller.wire.sent
        assert it.metrics.other_failures == {"silent_connection": 1}


@in_loop
async def test_an_idle_connection_stays_for_its_time_and_work_under_way_for_longer() -> None:
    async with served(keep_alive_s=30, request_timeout_s=3600.0) as it:
        idle, busy = it.connect(), it.connect()
        await idle.ask(request())
        it.gate.clear()
        busy.send(request())
        it.pass_time(29.0)
        assert not idle.wire.is_closed
        it.pass_time(2.0)
        assert idle.wire.is_closed
        it.pass_time(100.0)
        assert not busy.wire.is_closed
        it.gate.set()
        assert (await busy.replies(1))[0].status == 200


@in_loop
async def test_a_caller_that_does_not_read_sends_no_further_requests_and_is_cut_off() -> None:
    async with served() as it:
        caller = it.connect()
        caller.protocol.pause_writing()
        caller.wire.unsent_bytes = 1000
        caller.send(request() * 3)
        await until(lambda: bool(caller.wire.sent))
        await caller.replies(1)
        it.pass_time(15.0)
        caller.wire.unsent_bytes = 900  # it took something
        it.pass_time(15.0)
        assert not caller.wire.is_closed
        it.pass_time(10.0)
        assert caller.wire.is_aborted
        assert it.metrics.other_failures == {"slow_reader": 1}


@in_loop
async def test_a_caller_that_reads_again_gets_the_rest() -> None:
    async with served() as it:
        caller = it.connect()
        caller.protocol.pause_writing()
        caller.send(request() * 3)
        await caller.replies(1)
        caller.protocol.resume_writing()
        assert [reply.status for reply in await caller.replies(2)] == [200, 200]


@in_loop
async def test_at_the_end_work_under_way_is_finished_and_is_the_last() -> None:
    async with served() as it:
        it.gate.clear()
        lane, idle, half = it.connect(), it.connect(), it.connect()
        lane.send(request())
        await idle.ask(request("GET", "/v2/health/live", b""))
        half.send(request()[:-5])
        for caller in (lane, idle, half):
            caller.protocol.shutdown()
        await until(lambda: idle.wire.is_closed)
        assert not lane.wire.is_closed
        it.gate.set()
        half.send(request()[-5:])
        for caller in (lane, half):
            (reply,) = await caller.replies(1)
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert caller.wire.is_closed


@in_loop
async def test_a_request_that_was_sent_before_the_end_was_known_is_answered() -> None:
    async with served() as it:
        for data in (request(), request("GET", "/v2/health/live", b"")):
            caller = it.connect()
            await caller.ask(data)
            caller.protocol.shutdown()
            reply = await caller.ask(data)
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert caller.wire.is_closed


@in_loop
async def test_a_half_sent_request_does_not_hold_up_the_end() -> None:
    async with served() as it:
        caller = it.connect()
        caller.send(request()[:-5])
        caller.protocol.shutdown()
        it.pass_time(3.0)
        (reply,) = await caller.replies(1)
        assert (reply.status, reply.json()["code"]) == (503, "shutting_down")


@in_loop
async def test_when_the_grace_period_is_over_callers_are_told() -> None:
    async with served() as it:
        it.gate.clear()
        caller = it.connect()
        caller.send(request())
        caller.protocol.shutdown()
        caller.protocol.give_up()
        (reply,) = await caller.replies(1)
        assert (reply.status, reply.json()["code"]) == (503, "shutting_down")
        assert caller.wire.is_closed


@in_loop
async def test_an_empty_line_between_requests_is_let_pass_and_no_more() -> None:
    async with served() as it:
        caller = it.connect()
        assert (await caller.ask(b"\r\n" + request())).status == 200
        caller.send(b"\r")
        assert (await caller.ask(b"\n" + request())).status == 200
        assert (await caller.ask(b"\r\n\r\n" + request())).status == 400


@in_loop
async def test_what_the_second_parser_refuses_is_refused() -> None:
    async with served() as it:
        caller = it.connect()
        reply = await caller.ask(request("FROBNICATE"))  # a token, but no method that it knows
        assert (reply.status, reply.json()["code"]) == (400, "bad_http")
        assert caller.wire.has_ended


@in_loop
async def test_a_large_body_comes_whole_through_the_application() -> None:
    async with served(max_body_bytes=1 << 20) as it:
        caller = it.connect()
        body = BODY + b" " * 300_000
        reply = await caller.ask(request("POST", PATH + "?a", body))
        assert reply.status == 200
        assert not caller.wire.is_paused
        assert (await caller.ask(request())).status == 200
