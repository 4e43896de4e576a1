"""Ids, log lines and counters around every request; what a caller sends cannot forge them."""

import io
import json
from typing import Any

import pytest

from service.observability.access_log import AccessLog
from service.observability.metrics import Metrics
from service.observability.observe import Observed, Observer
from service.workers.base import ModelKey
from tests.service.asgi import call
from tests.service.loops import in_loop


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        (b"abc-1.2:3_4", True),
        (b"a" * 128, True),
        (b"a" * 129, False),
        (b"", False),
        (b"two words", False),
        (b'"}\n{"fake": 1', False),
        ("ü".encode(), False),
        (None, False),
    ],
)
def test_a_callers_id_is_kept_only_when_it_is_harmless(given: bytes | None, is_kept: bool) -> None:
    observer = Observer(Metrics({}))
    found = observer.request_id(given)
    assert (given is not None and found == given.decode("utf-8", "replace")) is is_kept
    assert found


def test_new_ids_differ() -> None:
    observer, other = Observer(Metrics({})), Observer(Metrics({}))
    ids = {maker.request_id(None) for maker in (observer, other) for _ in range(100)}
    assert len(ids) == 200


async def answering(scope: Any, receive: Any, send: Any) -> None:
    scope["slipway.model"] = ModelKey("m", 1)
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"server-timing", b"run;dur=1")],
        }
    )
    await send({"type": "http.response.body", "body": b"{}"})


async def failing(scope: Any, receive: Any, send: Any) -> None:
    raise ZeroDivisionError("a defect")


def observed(app: Any, stream: io.BytesIO | None = None) -> tuple[Observed, Observer]:
    observer = Observer(Metrics({}), None if stream is None else AccessLog(stream))
    return Observed(app, observer, max_body_bytes=10), observer


@in_loop
async def test_an_answer_carries_its_id_and_its_time() -> None:
    app, observer = observed(answering)
    exchange = await call(app, headers={"x-request-id": "mine"})
    assert exchange.headers["x-request-id"] == "mine"
    assert exchange.headers["server-timing"].startswith("run;dur=1, total;dur=")
    assert observer.metrics.model(ModelKey("m", 1)).requests == {("unmatched", 200): 1}


@in_loop
async def test_a_question_about_a_model_is_no_inference() -> None:
    app, observer = observed(answering)
    await call(app, method="GET")
    meters = observer.metrics.model(ModelKey("m", 1))
    assert meters.requests == {("unmatched", 200): 1}
    assert meters.success_count == 0


@in_loop
async def test_a_defect_is_a_500_that_reveals_nothing() -> None:
    app, _ = observed(failing)
    exchange = await call(app)
    assert exchange.status == 500
    assert "ZeroDivision" not in exchange.text
    assert exchange.json()["code"] == "internal"


@in_loop
async def test_the_log_is_one_line_of_json_a_request_whatever_the_path() -> None:
    stream = io.BytesIO()
    app, observer = observed(answering, stream)
    await call(app, path='/a"\n{"fake": 1}' + "x" * 5000)
    observer.flush()
    [line] = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["status"] == 200
    assert entry["model"] == "m/1"
    assert len(entry["path"]) == 256
    assert entry["time"].endswith("Z")


@in_loop
async def test_a_log_that_cannot_be_written_does_not_stop_the_service() -> None:
    stream = io.BytesIO()
    app, observer = observed(answering, stream)
    stream.close()
    await call(app)
    observer.flush()
    assert (await call(app)).status == 200
