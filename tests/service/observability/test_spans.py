"""Spans reach a real collector in OpenTelemetry's wire format, and never cost a request."""

import gzip
import io
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the otel extra")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from service.errors import StartError
from service.observability.access_log import AccessLog
from service.observability.metrics import Metrics
from service.observability.observe import Observed, Observer
from service.observability.records import Record
from service.observability.spans import attributes, open_export
from service.observability.trace_context import new_trace
from service.workers.base import ModelKey
from tests.service.asgi import call
from tests.service.loops import in_loop

CALLER, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes spans over HTTP and decodes them; `arrived` is set with the first."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.arrived = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()
                collector.arrived.set()

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


def values(span: Span) -> dict[str, object]:
    found: dict[str, object] = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        assert kind is not None
        found[pair.key] = getattr(pair.value, kind)
    return found


async def answering(scope: Any, receive: Any, send: Any) -> None:
    scope["slipway.model"] = ModelKey("digits", 3)
    scope["slipway.times"] = (0.25, 0.5)
    status = 503 if scope["path"] == "/fail" else 200
    if status == 503:
        scope["slipway.reason"] = "queue_full"
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def traced(collector: Collector, share: float) -> tuple[Observed, Observer]:
    export = open_export(collector.url, "1.2.3")
    observer = Observer(Metrics({}), None, export, share)
    return Observed(answering, observer, max_body_bytes=10), observer


@in_loop
async def test_a_callers_trace_is_continued_up_to_the_collector(collector: Collector) -> None:
    app, observer = traced(collector, share=0.0)
    exchange = await call(app, headers={"traceparent": f"00-{CALLER}-{PARENT}-01"})
    observer.flush()
    assert collector.arrived.wait(5)
    [span] = collector.spans
    assert exchange.headers["traceparent"] == f"00-{CALLER}-{span.span_id.hex()}-01"
    assert span.trace_id.hex() == CALLER
    assert span.parent_span_id.hex() == PARENT
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.start_time_unix_nano < span.end_time_unix_nano
    found = values(span)
    assert found["http.request.method"] == "POST"
    assert found["http.response.status_code"] == 200
    assert found["slipway.model.name"] == "digits"
    assert found["slipway.model.version"] == "3"
    assert (found["slipway.queue.seconds"], found["slipway.infer.seconds"]) == (0.25, 0.5)
    [resource] = collector.requests[0].resource_spans
    named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert named["service.name"] == "slipway"
    assert named["service.version"] == "1.2.3"


@in_loop
async def test_only_what_is_sampled_is_exported(collector: Collector) -> None:
    app, observer = traced(collector, share=0.0)
    await call(app)
    answer = await call(app, headers={"traceparent": f"00-{CALLER}-{PARENT}-00"})
    assert answer.headers["traceparent"].endswith("-00")
    await call(app, path="/fail", headers={"traceparent": f"00-{CALLER}-{PARENT}-01"})
    observer.flush()
    assert collector.arrived.wait(5)
    [span] = collector.spans
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert values(span)["error.type"] == "queue_full"


@in_loop
async def test_a_share_of_the_requests_without_a_trace_start_one(collector: Collector) -> None:
    app, observer = traced(collector, share=1.0)
    exchange = await call(app)
    observer.flush()
    assert collector.arrived.wait(5)
    [span] = collector.spans
    assert span.parent_span_id == b""
    assert exchange.headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"


@in_loop
async def test_a_collector_that_is_away_costs_spans_never_answers(collector: Collector) -> None:
    collector.close()
    export = open_export(collector.url, "1")
    log = io.BytesIO()
    observer = Observer(Metrics({}), AccessLog(log), export, 1.0)
    app = Observed(answering, observer, max_body_bytes=10)
    assert (await call(app)).status == 200
    observer.flush()
    assert log.getvalue().count(b"\n") == 1
    assert (await call(app)).status == 200


def test_attributes_name_no_endless_values() -> None:
    trace = new_trace(is_sampled=True)
    found = attributes(Record(0.0, "id", "BREW", "/" * 5000, 404, 0.1, trace=trace))
    assert found["http.request.method"] == "_OTHER"
    assert len(str(found["url.path"])) == 256
    assert "http.route" not in found


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(StartError, match="otel extra"):
        open_export("http://127.0.0.1:4318", "1")
