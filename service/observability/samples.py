"""Samples of families that are told model by model."""

from collections.abc import Callable, Iterator

from service.observability.family import Labels, Sample
from service.observability.meters import ModelMeters
from service.observability.metrics import Metrics

MODEL = ("model", "version")
REASON = (*MODEL, "reason")


def labels_of(meters: ModelMeters, *more: tuple[str, str]) -> Labels:
    name, version = meters.labels
    return ("model", name), ("version", version), *more


def per_model(value: Callable[[ModelMeters], float]) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for meters in metrics.models():
            yield labels_of(meters), float(value(meters))

    return samples


def by_reason(attribute: str, others: str = "") -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for meters in metrics.models():
            for reason, count in getattr(meters, attribute).items():
                yield labels_of(meters, ("reason", reason)), count
        if others:
            for reason, count in getattr(metrics, others).items():
                yield (("model", ""), ("version", ""), ("reason", reason)), count

    return samples
