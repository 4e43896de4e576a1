"""What the kernel says of one of our processes. Linux only: elsewhere there is nothing to read."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ProcessInfo:
    """`started_s`: seconds since 1970."""

    cpu_s: float
    rss_bytes: int
    open_fds: int
    started_s: float


def read_process(pid: int) -> ProcessInfo | None:
    """None when there is no such process any more, or no /proc."""
    folder = Path("/proc", str(pid))
    try:
        # The program's name stands in parentheses and may itself hold some: fields count from the last.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        open_fds = len(os.listdir(folder / "fd"))
        booted_s = _booted_s()
    except (OSError, ValueError):
        return None
    user, system, started, rss_pages = (int(fields[index]) for index in (11, 12, 19, 21))
    return ProcessInfo(
        (user + system) / _TICKS, rss_pages * _PAGE_BYTES, open_fds, booted_s + started / _TICKS
    )


@cache
def _booted_s() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError("/proc/stat has no btime")
