"""Every metric: its name, its meaning, its labels, and where its samples come from.

`exposition` writes them; `docs/observability.md` is tested against this list.
"""

from collections.abc import Callable, Iterator

from service.observability.batching_families import BATCHING
from service.observability.engine_meters import MEASURES
from service.observability.family import Cell, Family, HistogramFamily, Sample
from service.observability.histogram import Histogram
from service.observability.memory_families import MEMORY
from service.observability.meters import Dump, ModelMeters
from service.observability.metrics import Metrics
from service.observability.samples import MODEL, REASON, by_reason, labels_of, per_model


def _requests(metrics: Metrics) -> Iterator[Sample]:
    for meters in metrics.models():
        for (endpoint, code), count in meters.requests.items():
            yield labels_of(meters, ("endpoint", endpoint), ("code", str(code))), count
    for (endpoint, code), count in metrics.other_requests.items():
        where = (("endpoint", endpoint), ("code", str(code)))
        yield (("model", ""), ("version", ""), *where), count


def _session(*names: str, **labels: str) -> Callable[[Metrics], Iterator[Sample]]:
    """Always 1. `labels`: label → attribute of SessionInfo; `names`: where the two are the same."""
    labels = {name: name for name in names} | labels

    def samples(metrics: Metrics) -> Iterator[Sample]:
        for meters in metrics.models():
            if (session := meters.session) is not None:
                found = ((label, str(getattr(session, name))) for label, name in labels.items())
                yield labels_of(meters, *found), 1

    return samples


def _counted(attribute: str, label: str) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for value, count in getattr(metrics, attribute).items():
            yield ((label, value),), count

    return samples


def _per_frontend(key: str) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for frontend in _frontends(metrics):
            yield (("frontend", frontend["name"]),), float(frontend[key])

    return samples


def _frontends(metrics: Metrics) -> list[Dump]:
    return metrics.frontends or [metrics.gauges()]


def _loop_lag(metrics: Metrics) -> Iterator[Cell]:
    for frontend in _frontends(metrics):
        cell = Histogram()
        cell.add(frontend["loop_lag"])
        yield Cell((("frontend", frontend["name"]),), cell)


def _per_process(attribute: str) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for name, info in metrics.processes():
            yield (("process", name),), getattr(info, attribute)

    return samples


def _model_histogram(
    name: str, help: str, is_shown: Callable[[ModelMeters], bool] = lambda _: True
) -> HistogramFamily:
    def cells(metrics: Metrics) -> Iterator[Cell]:
        for meters in metrics.models():
            if is_shown(meters):
                exemplars = meters.exemplars if name == _TRACED else None
                yield Cell(labels_of(meters), meters.histograms()[name], exemplars)

    return HistogramFamily(name, help, MODEL, cells)


def _writes_text(meters: ModelMeters) -> bool:
    return meters.written.is_used


def _finished(metrics: Metrics) -> Iterator[Sample]:
    for meters in metrics.models():
        for reason, count in meters.written.finished.items():
            yield labels_of(meters, ("finished_reason", reason)), count


def _engine(attribute: str) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for meters in metrics.models():
            if meters.engine.is_used:
                yield labels_of(meters), float(getattr(meters.engine.stats, attribute))

    return samples


def _ended(metrics: Metrics) -> Iterator[Sample]:
    for meters in metrics.models():
        for reason, count in meters.engine.stats.ended.items():
            yield labels_of(meters, ("reason", reason)), count


_TRACED = "request_seconds"

FAMILIES: tuple[Family | HistogramFamily, ...] = (
    Family(
        "requests_total",
        "counter",
        "Answers, by route and HTTP status; without a model where none was reached.",
        (*MODEL, "endpoint", "code"),
        _requests,
    ),
    Family(
        "requests_failed_total",
        "counter",
        "Requests without a good answer, by the reason that the answer's code names.",
        REASON,
        by_reason("failures", "other_failures"),
    ),
    Family(
        "requests_rejected_total",
        "counter",
        "Requests refused with 503 or 429, by reason; also counted as failed.",
        REASON,
        by_reason("rejected"),
    ),
    Family(
        "items_dropped_total",
        "counter",
        "Items dropped before their run: the caller had left (cancelled) or the time was over (deadline).",
        REASON,
        by_reason("dropped"),
    ),
    Family(
        "inferences_total",
        "counter",
        "Items that have run.",
        MODEL,
        per_model(lambda meters: meters.inference_count),
    ),
    Family(
        "executions_total",
        "counter",
        "Runs, each of one batch.",
        MODEL,
        per_model(lambda meters: meters.execution_count),
    ),
    Family(
        "execution_seconds_total",
        "counter",
        "Time in runs of the graph, each run counted once: how many workers were busy.",
        MODEL,
        per_model(lambda meters: sum(times.infer_s for times in meters.batches.values())),
    ),
    _model_histogram("request_seconds", "From a request's arrival to its answer."),
    _model_histogram("queue_seconds", "Time that a request waited for its run."),
    _model_histogram(
        "compute_input_seconds", "Stacking a batch and carrying it to the worker and back."
    ),
    _model_histogram("compute_infer_seconds", "The graph's own time, counted once per request."),
    _model_histogram("compute_output_seconds", "Taking a batch's outputs apart."),
    _model_histogram("batch_size", "Items in one run."),
    _model_histogram(
        "time_to_first_token_seconds", "From arrival to the first token.", _writes_text
    ),
    _model_histogram("inter_token_latency_seconds", "Between two tokens.", _writes_text),
    _model_histogram(
        "e2e_request_latency_seconds", "From arrival to an answer's last token.", _writes_text
    ),
    _model_histogram("request_prompt_tokens", "Tokens of one prompt.", _writes_text),
    _model_histogram("request_generation_tokens", "Tokens of one answer.", _writes_text),
    Family(
        "request_success_total",
        "counter",
        "Answers written, by finish reason: stop, length; abort for callers that left.",
        (*MODEL, "finished_reason"),
        _finished,
    ),
    Family(
        "streams_open",
        "gauge",
        "Event streams under way.",
        MODEL,
        per_model(lambda meters: meters.written.streams_open),
    ),
    Family(
        "prompt_tokens_total",
        "counter",
        "Tokens read.",
        MODEL,
        per_model(lambda meters: meters.written.prompt_tokens),
    ),
    Family(
        "generation_tokens_total",
        "counter",
        "Tokens written.",
        MODEL,
        per_model(lambda meters: meters.written.generation_tokens),
    ),
    *(
        Family(measure.name, measure.kind, measure.help, MODEL, _engine(measure.attribute))
        for measure in MEASURES
    ),
    Family(
        "generation_ended_total",
        "counter",
        "Text requests that left the engine, by reason; displaced: gave way to a higher priority.",
        REASON,
        _ended,
    ),
    Family(
        "pending_requests",
        "gauge",
        "Items that wait for a run.",
        MODEL,
        per_model(lambda meters: meters.pending()),
    ),
    *BATCHING,
    Family(
        "in_flight_requests",
        "gauge",
        "Requests being answered.",
        MODEL,
        per_model(lambda meters: meters.in_flight),
    ),
    Family(
        "model_ready",
        "gauge",
        "1 when the version can answer.",
        MODEL,
        per_model(lambda meters: meters.is_ready()),
    ),
    Family(
        "model_required",
        "gauge",
        "Always 1, for models that readiness waits for: named at start, or served and not withdrawn since.",
        ("model",),
        lambda metrics: (((("model", name),), 1) for name in sorted(metrics.required())),
    ),
    Family(
        "model_load_seconds",
        "gauge",
        "Opening the version and replaying its golden exam, the last time.",
        MODEL,
        per_model(lambda meters: meters.load_s),
    ),
    Family(
        "model_load_timestamp_seconds",
        "gauge",
        "When the version was loaded, the last time, in seconds since 1970.",
        MODEL,
        per_model(lambda meters: meters.loaded_at_s),
    ),
    Family(
        "model_load_failures_total",
        "counter",
        "Loads that failed, by reason; what was served before still is.",
        REASON,
        by_reason("load_failures"),
    ),
    Family(
        "repository_poll_errors_total",
        "counter",
        "Looks at the repository, or at one model's folder, that failed; what was served stays.",
        (),
        lambda metrics: (((), float(metrics.repository_poll_errors)),),
    ),
    Family(
        "session_info",
        "gauge",
        "Always 1. The provider that was asked for, the one that computes, and its threads.",
        (*MODEL, "requested_provider", "active_provider", "threads"),
        _session("requested_provider", "active_provider", "threads"),
    ),
    Family(
        "model_runtime_info",
        "gauge",
        "Always 1. What was chosen to run the version: the runtime, where it computes, which precision.",
        (*MODEL, "runtime", "precision", "provider"),
        _session("runtime", "precision", provider="active_provider"),
    ),
    *MEMORY,
    Family(
        "worker_restarts_total",
        "counter",
        "Worker processes replaced: lost (they died) or hung (they were killed).",
        ("reason",),
        _counted("worker_restarts", "reason"),
    ),
    Family(
        "frontend_restarts_total",
        "counter",
        "Front-end processes replaced: lost (they died) or hung (they were killed).",
        ("reason",),
        _counted("frontend_restarts", "reason"),
    ),
    Family(
        "records_dropped_total",
        "counter",
        "Finished requests that the access log or the span export could not take.",
        ("sink",),
        lambda metrics: (
            ((("sink", sink),), count) for sink, count in metrics.records_dropped().items()
        ),
    ),
    HistogramFamily(
        "event_loop_lag_seconds",
        "How much later than asked the event loop's heartbeat came, ten times a second.",
        ("frontend",),
        _loop_lag,
    ),
    Family(
        "event_loop_lag_max_seconds",
        "gauge",
        "The largest lag of the last minute.",
        ("frontend",),
        _per_frontend("loop_lag_max_s"),
    ),
    Family(
        "open_connections",
        "gauge",
        "Open HTTP connections.",
        ("frontend",),
        _per_frontend("connections"),
    ),
    Family(
        "server_ready",
        "gauge",
        "1 when /v2/health/ready says so.",
        (),
        lambda metrics: (((), float(metrics.is_server_ready())),),
    ),
    Family(
        "process_cpu_seconds_total",
        "counter",
        "Processor time of a front end or worker, user and system.",
        ("process",),
        _per_process("cpu_s"),
    ),
    Family(
        "process_resident_memory_bytes",
        "gauge",
        "Memory that a front end or worker occupies.",
        ("process",),
        _per_process("rss_bytes"),
    ),
    Family(
        "process_open_fds",
        "gauge",
        "Open file descriptors of a front end or worker.",
        ("process",),
        _per_process("open_fds"),
    ),
    Family(
        "process_start_time_seconds",
        "gauge",
        "When a front end or worker started, in seconds since 1970.",
        ("process",),
        _per_process("started_s"),
    ),
    Family(
        "build_info",
        "gauge",
        "Always 1. Versions of the server, Python and the runtime.",
        ("version", "python", "onnxruntime"),
        lambda metrics: ((tuple(metrics.build.items()), 1),),
    ),
)
