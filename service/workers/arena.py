"""Shared memory between the front end and one worker: an anonymous memfd, known by its descriptor alone.

There is no name to guess or to leak when a process is killed, and a container's small /dev/shm does not
matter. One side writes, the other reads; the messages on the channel say when. An arena grows when its
writer needs more and never shrinks: the kernel seals it, so that a worker gone mad cannot truncate it under
the front end, which would die of SIGBUS.
"""

import fcntl
import mmap
import os
from collections.abc import Callable

ALIGN_BYTES = 64  # a cache line, and enough for any vector load
_FIRST_BYTES = 1 << 16


class ArenaError(Exception):
    """A message points outside the arena: the other side is broken."""


Pin = Callable[[mmap.mmap], Callable[[], None] | None]
"""Makes a mapping readable for a device; what gives it back, or None where it stays as it was."""


class Arena:
    """One direction's memory. `descriptor` is what the child inherits. `pin` is asked for each mapping that
    is made from then on."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.pin: Pin | None = None
        self._pinned: list[tuple[mmap.mmap, Callable[[], None]]] = []
        self._map: mmap.mmap | None = None
        self._mapped_bytes = 0

    @classmethod
    def create(cls, name: str) -> "Arena":
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        descriptor = os.memfd_create(f"slipway-{name}", flags)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return cls(descriptor)

    def writable(self, size_bytes: int) -> mmap.mmap:
        """Memory of at least `size_bytes`. Earlier mappings stay valid for whoever still views them."""
        if size_bytes > self._mapped_bytes or self._map is None:
            capacity = max(_FIRST_BYTES, 1 << (size_bytes - 1).bit_length() if size_bytes else 0)
            os.ftruncate(self.descriptor, capacity)
            self._remap(capacity)
        assert self._map is not None
        return self._map

    def readable(self, end: int) -> mmap.mmap:
        """Memory that the writer has filled up to `end`. Raises ArenaError when it is not that long."""
        if end > self._mapped_bytes or self._map is None:
            capacity = os.fstat(self.descriptor).st_size
            if end > capacity or capacity == 0:
                raise ArenaError(f"{end} bytes announced, {capacity} there")
            self._remap(capacity)
        assert self._map is not None
        return self._map

    def _remap(self, capacity: int) -> None:
        # Not mmap.resize: it refuses while arrays view the old mapping. The old one goes with the last view.
        self._map = mmap.mmap(self.descriptor, capacity)
        self._mapped_bytes = capacity
        release = None if self.pin is None else self.pin(self._map)
        if release is not None:
            # Kept until the end: a mapping must not go while a device may read it, and views of it live on.
            self._pinned.append((self._map, release))

    def close(self) -> None:
        for _, release in self._pinned:
            release()
        self._pinned.clear()
        self._map = None
        os.close(self.descriptor)
