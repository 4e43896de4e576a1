"""Compressed bodies and deep JSON on the routes of the application."""

import gzip
import re
import zlib

import pytest

from tests.service.edge.wire import BODY, PATH, request, served
from tests.service.loops import in_loop

RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(BODY) + RAW.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        # A fixed time: the bytes name the test, and all who run a part of the tests must agree on names.
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", RAW_DEFLATE),
        ("identity", BODY),
    ],
)
@in_loop
async def test_a_compressed_request_is_answered_like_the_plain_one(
    encoding: str, body: bytes
) -> None:
    async with served() as it:
        caller = it.connect()
        reply = await caller.ask(request("POST", PATH, body, f"content-encoding: {encoding}"))
        assert reply.status == 200
        assert reply.json()["outputs"][0]["data"] == [2.0, 4.0]


@pytest.mark.parametrize("line", ["content-encoding: gzip", "x-a: b"])
@in_loop
async def test_brackets_in_binary_tensors_are_no_json(line: str) -> None:
    header = (
        b'{"inputs":[{"name":"x","shape":[20,2],"datatype":"FP32",'
        b'"parameters":{"binary_data_size":160}}]}'
    )
    body = header + b"[" * 160
    lines = (f"inference-header-content-length: {len(header)}", line)
    async with served() as it:
        packed = gzip.compress(body) if "gzip" in line else body
        for path in (PATH, PATH + "?a"):
            reply = await it.connect().ask(request("POST", path, packed, *lines))
            assert reply.status == 200


BOMB = gzip.compress(b" " * 10_000_000)
REFUSED = {
    "bomb": ("gzip", BOMB[:1900], 413),
    "truncated": ("gzip", gzip.compress(BODY, mtime=0)[:-4], 400),
    "cut in the middle": ("gzip", gzip.compress(BODY, mtime=0)[:30], 400),
    "trailing": ("gzip", gzip.compress(BODY, mtime=0) + b"garbage", 400),
    "two members": ("gzip", gzip.compress(BODY, mtime=0) * 2, 400),
    "nested": ("gzip, gzip", gzip.compress(gzip.compress(BODY, mtime=0)), 415),
    "plain": ("gzip", BODY, 400),
    "wrong checksum": ("gzip", gzip.compress(BODY, mtime=0)[:-8] + b"\0" * 8, 400),
    "empty": ("gzip", b"", 400),
    "brotli": ("br", BODY, 415),
    "zstandard": ("zstd", BODY, 415),
    "other": ("x" * 50, BODY, 415),
}


@pytest.mark.parametrize(("encoding", "body", "status"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("path", [PATH, "/v1/models/m:predict", "/v1/completions"])
@in_loop
async def test_what_cannot_be_read_is_refused_in_the_routes_own_form(
    encoding: str, body: bytes, status: int, path: str
) -> None:
    async with served() as it:
        caller = it.connect()
        reply = await caller.ask(request("POST", path, body, f"content-encoding: {encoding}"))
        assert reply.status == status or (path != PATH and reply.status == 404)
        assert "error" in reply.json()
        assert it.runs == 0
        if status != 413:
            assert (await caller.ask(request())).status == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (PATH, "application/json"),
        (PATH + "?a", "application/json; charset=utf-8"),
        ("/v1/models/m:predict", "application/json"),
        ("/v1/completions", "application/json"),
        ("/v1/images/generations", "application/vnd.x+json"),
        ("/v2/models/m/predict", "application/x-www-form-urlencoded"),
    ],
)
@pytest.mark.parametrize("depth", [70, 1025, 250_000])
@in_loop
async def test_json_that_is_nested_too_deeply_is_a_400_everywhere(
    path: str, kind: str, depth: int
) -> None:
    async with served(max_body_bytes=1 << 20) as it:
        caller = it.connect()
        body = b'{"inputs": ' + b"[" * depth + b"]" * depth + b"}"
        reply = await caller.ask(request("POST", path, body, f"content-type: {kind}"))
        assert reply.status in (400, 404, 415)
        if path.startswith(PATH):
            assert reply.json()["code"] == "bad_json"
            assert re.search("64 levels|depth limit", reply.json()["error"])
