"""The hot path by itself: what it takes, what it lets through, and what it counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.bundle import Bundle
from models.errors import SlipwayError
from service.batcher import Batcher, BatchLimits
from service.errors import InferenceFailed, QueueFull
from service.fastlane import FastLane
from service.metrics import Metrics
from service.observe import Observer
from service.registry import ModelRegistry, ServedModel
from service.workers.base import Arrays, ModelKey, RunResult
from tests.service.asgi import call
from tests.service.loops import in_loop, until
from tests.service.manifests import vector

KEY = ModelKey("m", 1)
PATH = "/v2/models/m/infer"
BODY = orjson.dumps(
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
)


class Pool:
    is_healthy = True
    size = 1


class Lane:
    """A fast lane over one model whose run doubles, fails or waits as the test says."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.runs = 0
        self.metrics = Metrics({})
        self.registry = ModelRegistry()
        bundle = Bundle(Path("nowhere"), vector(2))
        self.model = ServedModel(bundle, Pool(), self.metrics.model(KEY), state="ready")  # type: ignore[arg-type]
        limits = BatchLimits(max_batch_size=4)
        self.model.batcher = Batcher(self._run, vector(2), limits, self.model.meters)
        self.registry.add(self.model)
        self.app = FastLane(
            self._inner,
            self.registry,
            Observer(self.metrics),
            max_body_bytes=1000,
            request_timeout_s=5.0,
        )

    async def _run(self, inputs: Arrays) -> RunResult:
        self.runs += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return RunResult({"y": inputs["x"] * 2}, 0.001)

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed.append(scope["path"])


@asynccontextmanager
async def lane() -> AsyncIterator[Lane]:
    made = Lane()
    yield made
    made.gate.set()
    assert made.model.batcher is not None
    await made.model.batcher.close()


@in_loop
async def test_infer_is_answered_without_the_application_behind() -> None:
    async with lane() as it:
        for path in (PATH, "/v2/models/m/versions/1/infer"):
            exchange = await call(it.app, path, body=BODY)
            assert exchange.status == 200
            assert exchange.json()["outputs"][0]["data"] == [2.0, 4.0]
            assert int(exchange.headers["content-length"]) == len(exchange.body)
        assert it.passed == []
        assert it.model.meters.requests == {("/v2/infer", 200): 2}
        assert it.model.meters.phases["request"].count == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", PATH), ("POST", "/v2/models/w/infer"), ("POST", "/"), ("POST", PATH + "/")],
)
@in_loop
async def test_everything_else_passes_through(method: str, path: str) -> None:
    async with lane() as it:
        await call(it.app, path, method=method)
        assert it.passed == [path]


@in_loop
async def test_the_lane_follows_the_registry() -> None:
    async with lane() as it:
        it.registry.remove(KEY)
        await call(it.app, PATH, body=BODY)
        assert it.passed == [PATH]


@in_loop
async def test_a_model_that_is_not_ready_is_left_to_the_router() -> None:
    async with lane() as it:
        it.model.pool.is_healthy = False  # type: ignore[misc]
        await call(it.app, PATH, body=BODY)
        assert it.passed == [PATH]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InferenceFailed("no", "secret detail"), 500, "inference_failed"),
        (ZeroDivisionError("secret"), 500, "inference_failed"),
        (QueueFull("full", 2.5), 503, "queue_full"),
    ],
)
@in_loop
async def test_a_failure_has_one_word_in_body_and_counter(
    error: Exception, status: int, code: str
) -> None:
    async with lane() as it:
        it.error = error
        exchange = await call(it.app, PATH, body=BODY)
        assert (exchange.status, exchange.json()["code"]) == (status, code)
        assert "secret" not in exchange.text
        assert it.model.meters.failures == {code: 1}
        if isinstance(error, SlipwayError) and error.retry_after_s:
            assert exchange.headers["retry-after"] == "3"


@pytest.mark.parametrize("body", [b"x" * 1001, [b"x" * 600, b"x" * 600]], ids=["one", "parts"])
@in_loop
async def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(body: Any) -> None:
    async with lane() as it:
        exchange = await call(it.app, PATH, body=body)
        assert exchange.status == 413
        assert exchange.headers["connection"] == "close"


@in_loop
async def test_a_body_in_parts_is_put_together() -> None:
    async with lane() as it:
        exchange = await call(it.app, PATH, body=[BODY[:20], BODY[20:40], BODY[40:]])
        assert exchange.status == 200


@in_loop
async def test_a_caller_that_leaves_while_sending_gets_nothing_and_is_counted() -> None:
    async with lane() as it:

        async def gone() -> dict[str, str]:
            return {"type": "http.disconnect"}

        exchange = await call(it.app, PATH, receive=gone)
        assert exchange.status == 0
        assert it.model.meters.requests == {("/v2/infer", 499): 1}
        assert it.model.meters.in_flight == 0


class Connection:
    """Looks like uvicorn's request cycle, whose bound method `receive` is."""

    def __init__(self) -> None:
        self.disconnected = False

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}


@in_loop
async def test_a_cancelled_handler_withdraws_its_work() -> None:
    async with lane() as it:
        it.gate.clear()
        first = asyncio.create_task(call(it.app, PATH, body=BODY))
        await until(lambda: it.runs == 1)
        second = asyncio.create_task(call(it.app, PATH, body=BODY))
        batcher = it.model.batcher
        assert batcher is not None
        await until(lambda: batcher.pending_rows == 1)
        second.cancel()
        exchange = await second
        assert (exchange.status, exchange.json()["code"]) == (503, "shutting_down")
        it.gate.set()
        await first
        assert it.runs == 1
        assert it.model.meters.in_flight == 0


@pytest.mark.parametrize("value", ["0", "-5", "soon", "1e99", "nan"])
@in_loop
async def test_a_senseless_deadline_header_is_a_400(value: str) -> None:
    async with lane() as it:
        headers = {"x-request-timeout-ms": value}
        exchange = await call(it.app, PATH, body=BODY, headers=headers)
        assert exchange.status == 400
