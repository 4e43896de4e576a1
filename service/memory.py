"""How much memory there is, and that freed memory goes back to the system: Python and the C library would
keep most of it for later.

After a model was unloaded its process should be as small as if it had never been there.
"""

import ctypes
import gc
import mmap
from functools import cache
from pathlib import Path

from models.cgroup import CGROUP, PROC, memory_limit_bytes, memory_room_bytes

_M_ARENA_MAX = -8  # malloc.h


def use_one_arena() -> None:
    """For the start of a process, before it has threads. glibc gives threads heaps of their own, and of
    those `malloc_trim` leaves the top: some 10 MB a process after models of 4 MB came and went."""
    mallopt = _of_c_library("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Collect cycles, then return free pages. Takes some ten milliseconds; not for the hot path."""
    gc.collect()
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


@cache
def _of_c_library(name: str) -> "ctypes._FuncPointer | None":
    """None where the C library has none (musl, macOS)."""
    try:
        found: ctypes._FuncPointer = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return None
    return found


def free_bytes(
    meminfo: Path = Path("/proc/meminfo"), proc: Path = PROC, cgroup: Path = CGROUP
) -> int:
    """Memory that could still be taken, for the machine and the container; 0 when that cannot be read."""
    free = _meminfo(meminfo, "MemAvailable")
    room = memory_room_bytes(proc=proc, cgroup=cgroup)
    return free if room is None or not free else min(free, room)


def limit_bytes(
    meminfo: Path = Path("/proc/meminfo"), proc: Path = PROC, cgroup: Path = CGROUP
) -> int:
    """What there is at all: the container's limit, or the machine's memory; 0 when that cannot be read."""
    total = _meminfo(meminfo, "MemTotal")
    limit = memory_limit_bytes(proc=proc, cgroup=cgroup)
    return total if limit is None or not total else min(total, limit)


def resident_bytes(pid: int) -> int:
    """What a process occupies; 0 for one that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return 0


def private_bytes(pid: int) -> int:
    """Resident memory that no other process shares by mapping the same file; 0 for one that has ended."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * mmap.PAGESIZE


def _meminfo(path: Path, name: str) -> int:
    try:
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return 0
