"""What this process may use at once: cores and memory, by its affinity and its control group's limits.

Runtimes size their thread pools from the host's cores and see neither a container's quota nor the process's
affinity (onnxruntime issue 29510), so every session is told its number.
"""

import os
from pathlib import Path

PROC = Path("/proc/self/cgroup")
CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT_BYTES = 1 << 60  # cgroup v1 writes a number near 2^63 where there is no limit


def usable_cores(*, proc: Path = PROC, cgroup: Path = CGROUP, affinity: int | None = None) -> float:
    """Cores this process may use at once: the lesser of its affinity and its cgroup quota."""
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quota = core_quota(proc=proc, cgroup=cgroup)
    return float(allowed) if quota is None else min(float(allowed), quota)


def core_quota(*, proc: Path = PROC, cgroup: Path = CGROUP) -> float | None:
    """Cores allowed by the tightest cgroup above us; None without a limit."""
    quotas = [_quota(folder) for folder in _own_groups("cpu", proc, cgroup)]
    return min((quota for quota in quotas if quota is not None), default=None)


def memory_limit_bytes(*, proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """The tightest memory limit above us; None without one."""
    limits = [_memory_limit(folder) for folder in _own_groups("memory", proc, cgroup)]
    return min((limit for limit in limits if limit is not None), default=None)


def _own_groups(controller: str, proc: Path, cgroup: Path) -> list[Path]:
    """Folders that may hold a limit for us: our own group in each hierarchy, its ancestors, the root."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return [cgroup, cgroup / controller]
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = cgroup / controller if controllers else cgroup
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


def _memory_limit(folder: Path) -> int | None:
    """Bytes allowed by cgroup v2 `memory.max` or v1 `memory.limit_in_bytes`; None without a limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            limit = int((folder / name).read_text())
        except (OSError, ValueError):  # not this version of cgroups, or "max"
            continue
        return None if limit >= _NO_LIMIT_BYTES else limit
    return None


def memory_room_bytes(*, proc: Path = PROC, cgroup: Path = CGROUP) -> int | None:
    """What the cgroups above us still allow: the least of limit minus use, where cached files that can be
    dropped do not count as used. None without a limit."""
    rooms = []
    for folder in _own_groups("memory", proc, cgroup):
        limit = _memory_limit(folder)
        used = None if limit is None else _memory_used(folder)
        if limit is not None and used is not None:
            rooms.append(max(limit - used, 0))
    return min(rooms, default=None)


def _memory_used(folder: Path) -> int | None:
    """Working set of a cgroup, v2 or v1: all but inactive file pages, as Kubernetes counts it."""
    for name, inactive in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            used = int((folder / name).read_text())
        except (OSError, ValueError):  # not this version of cgroups
            continue
        try:
            lines = (folder / "memory.stat").read_text().splitlines()
            cached = {name: int(value) for name, value in (line.split() for line in lines)}
        except (OSError, ValueError):
            cached = {}
        return max(used - cached.get(inactive, 0), 0)
    return None
