"""Copies of a GPU's memory, by address: the runtime's own interface copies whole tensors only.

Through the CUDA runtime library that ONNX Runtime has loaded; "CUDA Runtime API", memory management.
"""

import ctypes
from typing import Any, Protocol

from models.runtimes.onnxruntime.errors import translated
from models.runtimes.onnxruntime.libraries import cuda_runtime

_HOST_TO_DEVICE, _DEVICE_TO_HOST, _DEVICE_TO_DEVICE = 1, 2, 3  # cudaMemcpyKind


class CudaRuntime(Protocol):
    """Each returns a cudaError, 0 for none."""

    def cudaSetDevice(self, device: Any, /) -> int: ...  # noqa: N802

    def cudaMemcpy(self, *arguments: Any) -> int: ...  # noqa: N802

    def cudaMemcpy2D(self, *arguments: Any) -> int: ...  # noqa: N802

    def cudaDeviceSynchronize(self) -> int: ...  # noqa: N802

    def cudaGetLastError(self) -> int: ...  # noqa: N802


class CudaCopies:
    """For one device."""

    def __init__(self, device: int, library: CudaRuntime | None = None) -> None:
        self._device = device
        self._library: Any = library or cuda_runtime()

    def copy_2d(
        self, target: int, source: int, pitches: tuple[int, int], width: int, height: int
    ) -> None:
        """`height` lines of `width` bytes; `pitches`: bytes from one to the next, target's and source's.
        Raises RunError."""
        self._choose()
        size = ctypes.c_size_t
        code = self._library.cudaMemcpy2D(
            ctypes.c_void_p(target),
            size(pitches[0]),
            ctypes.c_void_p(source),
            size(pitches[1]),
            size(width),
            size(height),
            ctypes.c_int(_DEVICE_TO_DEVICE),
        )
        self._check("cudaMemcpy2D", code)

    def finish(self) -> None:
        """Copies between places of a device return before they are done, and the runtime's own stream does
        not wait for them."""
        self._check("cudaDeviceSynchronize", self._library.cudaDeviceSynchronize())

    def fetch(self, target: int, source: int, size_bytes: int) -> None:
        """Into the host's memory; returns when it is there. Raises RunError."""
        self._copy(target, source, size_bytes, _DEVICE_TO_HOST)

    def put(self, target: int, source: int, size_bytes: int) -> None:
        """Out of the host's memory; returns when it is there. Raises RunError."""
        self._copy(target, source, size_bytes, _HOST_TO_DEVICE)
        self.finish()  # from memory that is not pinned, the copy returns with the last part on its way

    def _copy(self, target: int, source: int, size_bytes: int, kind: int) -> None:
        self._choose()
        code = self._library.cudaMemcpy(
            ctypes.c_void_p(target),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size_bytes),
            ctypes.c_int(kind),
        )
        self._check("cudaMemcpy", code)

    def _choose(self) -> None:
        self._check("cudaSetDevice", self._library.cudaSetDevice(ctypes.c_int(self._device)))

    def _check(self, call: str, code: int) -> None:
        if code:
            self._library.cudaGetLastError()  # else the runtime finds it after its next kernel
            raise translated(RuntimeError(f"CUDA failure {code}: {call}"))
