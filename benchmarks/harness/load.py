"""wrk against a server whose processor time is read before and after: the usual sample of small models."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.processes import Server
from benchmarks.harness.wrk import run_wrk


@dataclass(frozen=True)
class Load:
    """`main_us`, `others_us`: processor time per request of the server's first process and of the rest
    (its workers; with several front ends, those too)."""

    rate: float
    p50_ms: float
    p99_ms: float
    main_us: float
    others_us: float


def load(server: Server, path: str, script: Path | None, connections: int, seconds: float) -> Load:
    """Raises MeasurementFailed."""
    before = server.cpu()
    seen = run_wrk(server.url(path), script, connections, seconds)
    after = server.cpu()
    return Load(
        seen.rate,
        seen.p50_ms,
        seen.p99_ms,
        (after.main_s - before.main_s) / seen.requests * 1e6,
        (after.others_s - before.others_s) / seen.requests * 1e6,
    )
