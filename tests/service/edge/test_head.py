"""The corpus of heads that servers and proxies disagree about: all of them are refused here."""

import pytest

from service.edge.head import Head, check_unfinished, read_head
from service.errors import BadHttp, HeadersTooLarge, RequestError, TargetTooLong
from tests.service.edge.wire import BODY, PATH, served
from tests.service.loops import in_loop

OK = "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"


def read(text: str | bytes) -> Head:
    raw = text if isinstance(text, bytes) else text.encode("latin-1")
    return read_head(raw + b"\r\n", 100)


def test_a_usual_head_is_read() -> None:
    head = read(OK + "Content-Length: 5\r\nX-Thing:  a b \r\nX-Thing: c\r\n")
    assert (head.method, head.path, head.body_bytes) == ("POST", PATH, 5)
    assert head.headers[b"x-thing"] == b"a b, c"
    assert head.keeps_alive
    assert not head.expects_continue


def test_what_ends_a_connection_and_what_it_expects_is_read() -> None:
    assert not read(OK + "Connection: Close\r\n").keeps_alive
    assert not read("GET / HTTP/1.0\r\n").keeps_alive
    assert read(OK + "Expect: 100-Continue\r\n").expects_continue
    assert read(OK + "Transfer-Encoding: Chunked\r\n").body_bytes is None


REFUSED = {
    "length and chunks": OK + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths": OK + "Content-Length: 5\r\nContent-Length: 6\r\n",
    "two equal lengths": OK + "Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": OK + "Content-Length: 5, 5\r\n",
    "a signed length": OK + "Content-Length: +5\r\n",
    "a negative length": OK + "Content-Length: -1\r\n",
    "a hexadecimal length": OK + "Content-Length: 0x5\r\n",
    "a length of words": OK + "Content-Length: five\r\n",
    "an empty length": OK + "Content-Length:\r\n",
    "a length of Arabic digits": OK.encode() + "Content-Length: ٥\r\n".encode(),
    "a huge length": OK + "Content-Length: 99999999999999999999\r\n",
    "space before the colon": OK + "Content-Length : 5\r\n",
    "space before the name": OK + " Content-Length: 5\r\n",
    "a folded line": OK + "X-Thing: a\r\n b\r\n",
    "a folded line by tab": OK + "X-Thing: a\r\n\tb\r\n",
    "a bare line feed": OK + "X-Thing: a\nX-Other: b\r\n",
    "a bare carriage return": OK + "X-Thing: a\rb\r\n",
    "a nul": OK + "X-Thing: a\0b\r\n",
    "a line without colon": OK + "X-Thing\r\n",
    "an empty name": OK + ": a\r\n",
    "a name with parentheses": OK + "X(Thing): a\r\n",
    "no host": "GET / HTTP/1.1\r\n",
    "an empty host": "GET / HTTP/1.1\r\nHost:\r\n",
    "two hosts": OK + "Host: y\r\n",
    "a host with a path": "GET / HTTP/1.1\r\nHost: a/../b\r\n",
    "a host with a user": "GET / HTTP/1.1\r\nHost: a@b\r\n",
    "a host with spaces": "GET / HTTP/1.1\r\nHost: a b\r\n",
    "chunks on 1.0": "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
    "an unknown coding": OK + "Transfer-Encoding: gzip\r\n",
    "two codings": OK + "Transfer-Encoding: gzip, chunked\r\n",
    "chunked twice": OK + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "identity": OK + "Transfer-Encoding: identity\r\n",
    "a hidden coding": OK + "Transfer-Encoding: \x0bchunked\r\n",
    "another protocol": "GET / HTTP/2.0\r\nHost: x\r\n",
    "HTTP/0.9": "GET /\r\nHost: x\r\n",
    "two spaces": "GET  / HTTP/1.1\r\nHost: x\r\n",
    "a small method": "get / HTTP/1.1\r\nHost: x\r\n",
    "a path with spaces": "GET /a b HTTP/1.1\r\nHost: x\r\n",
    "a path beyond ASCII": "GET /é HTTP/1.1\r\nHost: x\r\n",
    "a relative path": "GET models HTTP/1.1\r\nHost: x\r\n",
    "a proxy's method": "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "nothing": "\r\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_plain_http_is_refused(text: str | bytes) -> None:
    with pytest.raises(BadHttp):
        read(text)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
@in_loop
async def test_the_connection_ends_with_the_refusal(text: str | bytes) -> None:
    async with served() as it:
        caller = it.connect()
        raw = text if isinstance(text, bytes) else text.encode("latin-1")
        reply = await caller.ask(raw + b"\r\n" + BODY)
        assert reply.status == 400
        assert reply.json()["code"] == "bad_http"
        assert reply.headers["connection"] == "close"
        assert reply.json()["request_id"] == reply.headers["x-request-id"]
        assert caller.wire.has_ended
        assert it.metrics.other_requests == {("edge", 400): 1}
        assert it.metrics.other_failures == {"bad_http": 1}
        assert it.runs == 0


@pytest.mark.parametrize("host", ["x", "x:8000", "my_service", "10.0.0.1:80", "[::1]:8000", "x:"])
def test_hosts_as_they_are_in_use_are_taken(host: str) -> None:
    assert read(f"GET / HTTP/1.1\r\nHost: {host}\r\n").headers[b"host"] == host.encode()


def test_headers_and_paths_beyond_measure_have_their_own_statuses() -> None:
    lines = "".join(f"X-{number}: a\r\n" for number in range(100))
    with pytest.raises(HeadersTooLarge):
        read(OK + lines)
    with pytest.raises(TargetTooLong):
        read(f"GET /{'a' * 8192} HTTP/1.1\r\nHost: x\r\n")


UNFINISHED: list[tuple[bytes, type[RequestError]]] = [
    (b"GET /" + b"a" * 9000, TargetTooLong),
    (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, HeadersTooLarge),
    (b"GET / HTTP/1.1\nHost: x\n\n", BadHttp),
]


@pytest.mark.parametrize(("part", "error"), UNFINISHED)
def test_what_can_be_told_before_the_end_is_told(part: bytes, error: type[RequestError]) -> None:
    with pytest.raises(error):
        check_unfinished(bytearray(part), 32_768)


def test_an_unfinished_head_may_go_on() -> None:
    check_unfinished(bytearray(b"GET / HTTP/1.1\r\nHos"), 32_768)
