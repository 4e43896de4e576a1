"""The statistics extension: what a model version has counted, in Triton's words and nanoseconds.

`inference_count` counts items, `execution_count` runs, `success` and `fail` requests by any endpoint. The
phases count each request of a batch in `inference_stats`, each run once in `batch_stats`. Nothing is kept
of caches, of memory, or of single responses, so those are zero or empty.
"""

from service.observability.meters import BatchTimes, ModelMeters

_PHASES = ("queue", "compute_input", "compute_infer", "compute_output")


def model_statistics(name: str, version: int, meters: ModelMeters | None) -> dict[str, object]:
    """`meters` None: nothing has been counted yet."""
    meters = meters or ModelMeters(name, version)
    phases = {phase: meters.phases[phase] for phase in _PHASES}
    return {
        "name": name,
        "version": str(version),
        "last_inference": meters.last_inference_ms,
        "inference_count": meters.inference_count,
        "execution_count": meters.execution_count,
        "inference_stats": {
            "success": _duration(meters.success_count, meters.success_s),
            "fail": _duration(meters.fail_count, meters.fail_s),
            **{phase: _duration(cell.count, cell.total) for phase, cell in phases.items()},
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        },
        "response_stats": {},
        "batch_stats": [_batch(rows, meters.batches[rows]) for rows in sorted(meters.batches)],
        "memory_usage": [],
    }


def _batch(rows: int, times: BatchTimes) -> dict[str, object]:
    return {
        "batch_size": rows,
        "compute_input": _duration(times.count, times.input_s),
        "compute_infer": _duration(times.count, times.infer_s),
        "compute_output": _duration(times.count, times.output_s),
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": max(0, round(seconds * 1e9))}
