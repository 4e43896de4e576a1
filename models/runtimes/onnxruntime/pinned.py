"""Host memory that a GPU may read by itself: a copy from it needs no detour through the driver's buffers.

For the memory in which a worker finds its inputs, which lives as long as the connection. Registering walks
every page, so it is done once per mapping and never per run. Where it fails nothing is lost but speed.
"""

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

from models.runtimes.onnxruntime.libraries import cuda_runtime

_PORTABLE = 1  # cudaHostRegisterPortable: for every context of the process

Release = Callable[[], None]


class PinnedMemory:
    """For one device. `library`: the CUDA runtime's, whose functions return a cudaError, 0 for none."""

    def __init__(self, device: int, library: Any = None) -> None:
        self._device = device
        self._library = library or cuda_runtime()

    @classmethod
    def of(cls, device: int) -> "PinnedMemory | None":
        """None where there is no CUDA library to ask."""
        try:
            return cls(device)
        except OSError:
            return None

    def pin(self, memory: mmap.mmap) -> Release | None:
        """What gives it back, to be called before the mapping goes; None where it stays as it was."""
        address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
        # The first call of a process wakes a device: the right one.
        if self._failed(self._library.cudaSetDevice(ctypes.c_int(self._device))):
            return None
        size, flags = ctypes.c_size_t(len(memory)), ctypes.c_uint(_PORTABLE)
        if self._failed(self._library.cudaHostRegister(address, size, flags)):
            return None

        def release() -> None:
            self._failed(self._library.cudaHostUnregister(address))

        return release

    def _failed(self, code: int) -> bool:
        """CUDA remembers an error until asked, and the runtime would take it for one of its kernels'."""
        if code:
            self._library.cudaGetLastError()
        return code != 0
