"""The metrics of the memory ledger; part of `families`. A server without one, or without a kernel that tells,
has no samples of them."""

from collections.abc import Callable, Iterator

from service.observability.family import Family, Sample
from service.observability.metrics import Metrics
from service.observability.samples import MODEL


def _of_models(place: int) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for name, version, *sizes in metrics.memory().get("models", ()):
            yield (("model", name), ("version", str(version))), float(sizes[place])

    return samples


def _of_server(key: str) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        memory = metrics.memory()
        if memory.get("limit_bytes"):
            yield (), float(memory[key])

    return samples


MEMORY = (
    Family(
        "model_memory_bytes",
        "gauge",
        "Memory that loading the version took, in all workers, a wide session included.",
        MODEL,
        _of_models(0),
    ),
    Family(
        "model_memory_promised_bytes",
        "gauge",
        "Memory that the version may come to take, in all workers: at its largest batch, with all keys and "
        "values.",
        MODEL,
        _of_models(1),
    ),
    Family(
        "memory_limit_bytes",
        "gauge",
        "Memory that there is: the container's limit, the machine's, or what the operator allows.",
        (),
        _of_server("limit_bytes"),
    ),
    Family(
        "memory_free_bytes",
        "gauge",
        "What of it could be taken now.",
        (),
        _of_server("free_bytes"),
    ),
    Family(
        "memory_reserved_bytes",
        "gauge",
        "What of the free memory loaded models were promised and have not taken yet.",
        (),
        _of_server("reserved_bytes"),
    ),
)
