"""How many cores there are to use, and how they are shared between workers.

ONNX Runtime sizes its thread pool from the host's cores and sees neither a container's quota nor the
process's affinity (onnxruntime issue 29510), so every session is told its number.
"""

import math
import os
from pathlib import Path
from typing import NamedTuple

_MAX_DEFAULT_WORKERS = (
    4  # beyond this a worker's memory costs more than its core brings on small models
)


def usable_cores(
    *,
    proc: Path = Path("/proc/self/cgroup"),
    cgroup: Path = Path("/sys/fs/cgroup"),
    affinity: int | None = None,
) -> float:
    """Cores this process may use at once: the lesser of its affinity and its cgroup quota."""
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quotas = [
        quota for folder in _own_groups(proc, cgroup) if (quota := _quota(folder)) is not None
    ]
    return min([float(allowed), *quotas])


class ThreadPlan(NamedTuple):
    """`workers` × `threads` run at the same time; a batch that is alone may have `wide` threads."""

    workers: int
    threads: int
    wide: int


def plan(cores: float, workers: int) -> ThreadPlan:
    """The sum of threads stays within `cores`. `workers` 0: choose."""
    whole = max(1, math.floor(cores))
    count = workers or min(whole, _MAX_DEFAULT_WORKERS)
    return ThreadPlan(count, max(1, whole // count), whole)


def _own_groups(proc: Path, cgroup: Path) -> list[Path]:
    """Folders that may hold a quota for us: our own group in each hierarchy, its ancestors, the root."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return [cgroup, cgroup / "cpu"]
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroup / "cpu" if controllers else cgroup
        # Inside a container the path may be the host's and not exist here; then the root is ours.
        own = root / path.lstrip("/")
        folders += [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return folders


def _quota(folder: Path) -> float | None:
    """Cores allowed by cgroup v2 `cpu.max` or v1 `cpu.cfs_quota_us`; None without a limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return None if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
