"""Server spans to an OpenTelemetry collector over OTLP/HTTP. Needs the `otel` extra; off by default.

Spans are made from finished requests, off the event loop, so that a request costs the same with and
without a collector. Its ids were given when the request arrived: they are in the answer's `traceparent`.
A collector that is away loses spans, never requests.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.errors import StartError
from service.observability.records import Record

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
)
_MOST_PATH = 256


class SpanExport:
    """Called by its own thread only, with records of sampled traces; an export waits for the collector."""

    def __init__(self, exporter: "SpanExporter", version: str) -> None:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._exporter = exporter
        defaults = Resource({"service.name": "slipway", "service.version": version})
        # OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win.
        self._resource = defaults.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("slipway", version)

    def write(self, records: Sequence[Record]) -> None:
        """Raises ConnectionError when the collector did not take them."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        spans = [self._span(record) for record in records]
        if spans and self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise ConnectionError("the collector does not take spans")

    def _span(self, record: Record) -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanKind, Status, StatusCode

        assert record.trace is not None
        end_ns = int(record.at * 1e9)
        method = record.method if record.method in _METHODS else "HTTP"
        trace = record.trace
        return ReadableSpan(
            f"{method} {record.endpoint}" if record.endpoint else method,
            context=_context(trace.trace_id, trace.span_id, is_remote=False),
            parent=_context(trace.trace_id, trace.parent_id, is_remote=True)
            if trace.parent_id
            else None,
            resource=self._resource,
            attributes=attributes(record),
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if record.code >= 500 else StatusCode.UNSET),
            start_time=end_ns - int(record.seconds * 1e9),
            end_time=end_ns,
            instrumentation_scope=self._scope,
        )


def open_export(endpoint: str, version: str) -> SpanExport:
    """`endpoint`: the collector's address, `http://host:4318`. Raises StartError without the extra."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise StartError(
            "--otlp-endpoint needs the otel extra: pip install 'slipway[otel]'"
        ) from error
    url = endpoint.rstrip("/")
    url = url if url.endswith("/v1/traces") else f"{url}/v1/traces"
    return SpanExport(OTLPSpanExporter(endpoint=url, timeout=5), version)


def attributes(record: Record) -> dict[str, str | int | float]:
    """OpenTelemetry's HTTP conventions, and what only an inference server knows."""
    found: dict[str, str | int | float] = {
        "http.request.method": record.method if record.method in _METHODS else "_OTHER",
        "http.response.status_code": record.code,
        "url.path": record.path[:_MOST_PATH],
        "url.scheme": "http",
        "slipway.request_id": record.request_id,
    }
    if record.endpoint:
        found["http.route"] = record.endpoint
    if record.code >= 400:
        found["error.type"] = record.reason or str(record.code)
    if record.model:
        name, _, version = record.model.rpartition("/")
        found |= {"slipway.model.name": name, "slipway.model.version": version}
    if record.infer_s:
        found["slipway.queue.seconds"] = record.queue_s
        found["slipway.infer.seconds"] = record.infer_s
    if record.batch_rows:
        found["slipway.batch.size"] = record.batch_rows
    return found


def _context(trace_id: str, span_id: str, *, is_remote: bool) -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED)
    )
