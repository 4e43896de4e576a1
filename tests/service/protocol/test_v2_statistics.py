"""Statistics are the meters' own counts in Triton's units."""

from service.observability.meters import ModelMeters
from service.protocol.v2_statistics import model_statistics


def test_counts_and_times_are_those_of_the_meters() -> None:
    meters = ModelMeters("m", 2)
    meters.ran(3, [0.25, 0.5], 0.001, 0.002, 0.004)
    meters.ran(3, [0.0], 0.001, 0.002, 0.004)
    meters.ran(1, [0.0], 0.5, 0.25, 0.125)
    for code in (200, 200, 200, 504):
        meters.answered("/v2/infer", code, 0.5, "deadline" if code > 200 else "")
    found = model_statistics("m", 2, meters)
    assert (found["name"], found["version"]) == ("m", "2")
    assert (found["inference_count"], found["execution_count"]) == (7, 3)
    assert found["last_inference"] == meters.last_inference_ms > 0
    stats = found["inference_stats"]
    assert stats["success"] == {"count": 3, "ns": 1_500_000_000}
    assert stats["fail"] == {"count": 1, "ns": 500_000_000}
    assert stats["queue"] == {"count": 4, "ns": 750_000_000}
    assert stats["compute_infer"] == {"count": 4, "ns": 256_000_000}
    assert stats["cache_hit"] == stats["cache_miss"] == {"count": 0, "ns": 0}
    assert found["batch_stats"] == [
        {
            "batch_size": 1,
            "compute_input": {"count": 1, "ns": 500_000_000},
            "compute_infer": {"count": 1, "ns": 250_000_000},
            "compute_output": {"count": 1, "ns": 125_000_000},
        },
        {
            "batch_size": 3,
            "compute_input": {"count": 2, "ns": 2_000_000},
            "compute_infer": {"count": 2, "ns": 4_000_000},
            "compute_output": {"count": 2, "ns": 8_000_000},
        },
    ]


def test_a_version_that_was_never_asked_has_zeros() -> None:
    found = model_statistics("m", 1, None)
    assert found["inference_count"] == found["last_inference"] == 0
    assert found["inference_stats"]["success"] == {"count": 0, "ns": 0}
    assert found["batch_stats"] == []
