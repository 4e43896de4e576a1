"""The metrics of batches and of the latency target that they follow; part of `families`."""

from collections.abc import Callable, Iterator

from service.observability.family import Family, Sample
from service.observability.meters import ModelMeters
from service.observability.metrics import Metrics
from service.observability.samples import MODEL, REASON, by_reason, labels_of, per_model


def with_target(value: Callable[[ModelMeters], float]) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for meters in metrics.models():
            if meters.latency_target_s:
                yield labels_of(meters), float(value(meters))

    return samples


BATCHING = (
    Family(
        "batch_size_limit",
        "gauge",
        "Most items of the usual length that a batch takes now, by cost and latency target.",
        MODEL,
        per_model(lambda meters: meters.batch_size_limit()),
    ),
    Family(
        "batches_bounded_total",
        "counter",
        "Batches that left items waiting, by what bounded them: size, tokens, share (for free workers), "
        "cost (more would not pay), target (of latency).",
        REASON,
        by_reason("batches_bounded"),
    ),
    Family(
        "latency_target_seconds",
        "gauge",
        "What 95 of 100 answers should not take longer than, where that is set.",
        MODEL,
        with_target(lambda meters: meters.latency_target_s),
    ),
    Family(
        "latency_target_missed_total",
        "counter",
        "Requests that took longer than the target, from acceptance to outputs.",
        MODEL,
        with_target(lambda meters: meters.latency_target_missed),
    ),
    Family(
        "batch_limit_changes_total",
        "counter",
        "How a latency target was followed: late (runs were bounded tighter), early (wider), unreachable "
        "(bounds were lifted for a while).",
        REASON,
        by_reason("batch_limit_changes"),
    ),
)
