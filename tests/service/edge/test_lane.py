"""Heads that are known: byte for byte, bounded, and forgotten when the registry changes."""

import pytest

from service.edge.head import read_head
from tests.service.edge.wire import KEY, PATH, request, served
from tests.service.loops import in_loop


def head_of(data: bytes) -> bytes:
    return data[: data.index(b"\r\n\r\n") + 4]


@in_loop
async def test_a_usual_head_is_known_after_its_first_request_and_forgotten_on_a_change() -> None:
    async with served() as it:
        lane = it.edge.lane
        raw = head_of(request())
        planned = lane.planned(read_head(raw, 100))
        assert planned.plan is not None
        assert lane.known == {raw: planned}
        it.registry.remove(KEY)
        assert not lane.known
        assert lane.planned(read_head(raw, 100)).plan is None


@in_loop
async def test_what_differs_in_every_request_is_not_remembered() -> None:
    async with served() as it:
        lane = it.edge.lane
        for line in ("x-request-id: a", "traceparent: b", "x-request-timeout-ms: 5"):
            assert lane.planned(read_head(head_of(request("POST", PATH, b"", line)), 100)).plan
        long = "x-long: " + "a" * 3000
        assert lane.planned(read_head(head_of(request("POST", PATH, b"", long)), 100)).plan
        assert not lane.known


@in_loop
async def test_what_is_remembered_is_bounded() -> None:
    async with served() as it:
        for number in range(2000):
            raw = head_of(request("POST", PATH, b"", f"x-number: {number}"))
            it.edge.lane.planned(read_head(raw, 100))
        assert len(it.edge.lane.known) <= 512


@pytest.mark.parametrize(
    "data",
    [
        request("GET"),
        request(path="/v2/models/w/infer"),
        request("POST", PATH, b"", "content-encoding: gzip"),
        request("POST", PATH, b"", "content-type: image/png"),
        request("POST", PATH, b"", "upgrade: websocket"),
    ],
)
@in_loop
async def test_the_unusual_is_the_applications(data: bytes) -> None:
    async with served() as it:
        assert it.edge.lane.planned(read_head(head_of(data), 100)).plan is None
        assert not it.edge.lane.known


@in_loop
async def test_a_generation_model_is_told_where_to_ask() -> None:
    async with served() as it:
        it.model.batcher, batcher = None, it.model.batcher
        reply = await it.connect().ask(request())
        it.model.batcher = batcher
        assert (reply.status, reply.json()["code"]) == (503, "not_ready")
