"""Ties the metrics to what runs: the server's connections, the loop's heartbeat, the processes."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING

from service.app_info import version
from service.observability.heartbeat import Heartbeat
from service.observability.metrics import Metrics
from service.registry import ModelRegistry
from service.workers.base import WorkerPool

if TYPE_CHECKING:
    import uvicorn


def build_labels() -> dict[str, str]:
    """Versions, read without importing what they are of."""
    try:
        runtime = metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:  # a GPU build has another name
        runtime = ""
    return {
        "version": version(),
        "python": platform.python_version(),
        "onnxruntime": runtime,
    }


@contextmanager
def vital_signs(
    metrics: Metrics, server: "uvicorn.Server", registry: ModelRegistry, pool: WorkerPool | None
) -> Iterator[Heartbeat]:
    """For as long as the server runs. `pool`: None in a front end that does not own the workers."""
    heartbeat = Heartbeat(metrics.loop_lag)
    metrics.loop_lag_max_s = lambda: heartbeat.max_lag_s
    metrics.is_loop_stale = lambda: heartbeat.is_stale
    metrics.connections = lambda: len(server.server_state.connections)
    metrics.is_server_ready = lambda: registry.is_ready
    metrics.required = lambda: registry.required
    metrics.pids = lambda: {metrics.name: os.getpid(), **_workers(pool)}
    heartbeat.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stop()


def _workers(pool: WorkerPool | None) -> dict[str, int]:
    return {} if pool is None else {worker.name: worker.pid for worker in pool.workers()}
