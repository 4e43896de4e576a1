from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.edge.chunks import ChunkScanner
from service.errors import BadHttp, BodyTooLarge, RequestError
from tests.service.edge.wire import BODY, PATH, served
from tests.service.loops import in_loop

WHOLE = b"4\r\nWiki\r\nE;name=value\r\npedia in chunks\r\n0\r\n\r\n".replace(b"E;", b"F;")
HEAD = f"POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()


@given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=8))
def test_the_end_is_found_however_the_bytes_arrive(cuts: list[int]) -> None:
    scanner, left = ChunkScanner(100), 0
    edges = sorted({0, *cuts, len(WHOLE)})
    pieces = [WHOLE[a:b] for a, b in pairwise(edges)] + [b"GET /"]
    for piece in pieces:
        left += len(piece) - scanner.feed(piece)
    assert scanner.is_complete
    assert left == len(b"GET /")


BROKEN: dict[str, tuple[bytes, type[RequestError]]] = {
    "no size": (b"\r\n", BadHttp),
    "not hexadecimal": (b"xyz\r\n", BadHttp),
    "signed": (b"+4\r\nWiki\r\n", BadHttp),
    "with 0x": (b"0x4\r\nWiki\r\n", BadHttp),
    "bare line feed": (b"4\nWiki\r\n", BadHttp),
    "space before the extension": (b"4 ;a\r\nWiki\r\n", BadHttp),
    "longer than it says": (b"4\r\nWikip\r\n", BadHttp),
    "no break": (b"4\r\nWiki0\r\n\r\n", BadHttp),
    "trailers": (b"0\r\nX: y\r\n\r\n", BadHttp),
    "endless size": (b"0" * 200, BadHttp),
    "endless extension": (b"4;" + b"a" * 200, BadHttp),
    "more than allowed": (b"65\r\n", BodyTooLarge),
    "more than can be": (b"ffffffffffffffff\r\n", BodyTooLarge),
}


@pytest.mark.parametrize(("data", "error"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_framing_is_refused(data: bytes, error: type[RequestError]) -> None:
    with pytest.raises(error):
        ChunkScanner(100).feed(data)


def test_more_pieces_than_anyone_needs_are_refused() -> None:
    scanner = ChunkScanner(100, most_chunks=10)
    scanner.feed(b"1\r\na\r\n" * 10)
    with pytest.raises(BadHttp, match="too many chunks"):
        scanner.feed(b"1\r\na\r\n")


@in_loop
async def test_a_chunked_request_gets_the_same_answer() -> None:
    async with served() as it:
        caller = it.connect()
        pieces = b"".join(b"%x\r\n%b\r\n" % (1, BODY[i : i + 1]) for i in range(len(BODY)))
        for _ in range(2):  # and the connection goes on
            reply = await caller.ask(HEAD + pieces + b"0\r\n\r\n")
            assert reply.status == 200
            assert reply.json()["outputs"][0]["data"] == [2.0, 4.0]


@in_loop
async def test_a_chunked_body_that_is_too_long_is_refused_as_soon_as_it_says_so() -> None:
    async with served() as it:
        caller = it.connect()
        reply = await caller.ask(HEAD + b"fff\r\nabc")
        assert (reply.status, reply.headers["connection"]) == (413, "close")
        assert it.runs == 0
