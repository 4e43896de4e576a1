"""Bounds on what opening and examining a model may take, set inside the process that does it.

Counted is memory that only this process can write (RLIMIT_DATA), on top of what it has already: address
space would be the wrong measure, since every thread reserves far more of it than it uses.

Not bounded: memory on a GPU.
"""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from models.errors import SlipwayError
from models.runtimes.base import LoadOutOfMemory

_SIGNS = ("bad_alloc", "failed to allocate", "cannot allocate", "out of memory", "bad allocation")
"""What ONNX Runtime, the C++ library and the kernel say, in lower case."""


@contextlib.contextmanager
def limited(memory_bytes: int, cpu_s: int, what: str) -> Iterator[None]:
    """`memory_bytes` more than now (0: no bound) and `cpu_s` more processor time than now.

    Raises LoadOutOfMemory for a failure that speaks of memory. Past the processor time the process gets
    SIGXCPU, which ends it.
    """
    spent_s = resource.getrusage(resource.RUSAGE_SELF)
    limits = {resource.RLIMIT_CPU: int(spent_s.ru_utime + spent_s.ru_stime) + 1 + cpu_s}
    if memory_bytes:
        limits[resource.RLIMIT_DATA] = data_bytes() + memory_bytes
    before = {kind: resource.getrlimit(kind) for kind in limits}
    for kind, soft in limits.items():
        resource.setrlimit(kind, (_at_most(soft, before[kind][1]), before[kind][1]))
    try:
        yield
    except (SlipwayError, MemoryError) as error:
        if isinstance(error, MemoryError) or _speaks_of_memory(error):
            raise LoadOutOfMemory(
                f"{what} wants more memory than it may have while it is loaded "
                f"({memory_bytes >> 20} MiB; --load-memory-bytes allows more)"
            ) from error
        raise
    finally:
        for kind, values in before.items():
            resource.setrlimit(kind, values)


def data_bytes() -> int:
    """Private writable memory of this process, as RLIMIT_DATA counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


def _at_most(soft: int, hard: int) -> int:
    return soft if hard == resource.RLIM_INFINITY else min(soft, hard)


def _speaks_of_memory(error: BaseException) -> bool:
    told: BaseException | None = error
    while told is not None:
        text = f"{told} {getattr(told, 'detail', '')}".lower()
        if any(sign in text for sign in _SIGNS):
            return True
        told = told.__cause__
    return False
