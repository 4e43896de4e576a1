"""NVIDIA's libraries, which the GPU build of the runtime needs and does not bring."""

import contextlib
import ctypes
import functools
import io
from importlib.util import find_spec
from pathlib import Path

import onnxruntime as ort

# What the runtime's TensorRT provider is linked with (1.31.1), in the order in which they need each other.
_TENSORRT = ("libnvinfer.so.10", "libnvonnxparser.so.10")


@functools.cache
def load_gpu_libraries() -> str:
    """From their Python packages or the system; returns what could not be loaded.

    The loader does not look into Python packages by itself. The runtime's own function does, and prints
    what fails to standard output, which belongs to the access log.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    return "; ".join(line.strip() for line in said.getvalue().splitlines() if line.strip())


@functools.cache
def load_tensorrt_libraries() -> str:
    """As above, of TensorRT, which the runtime's function leaves out."""
    complaints = []
    for name in _TENSORRT:
        try:
            ctypes.CDLL(str(_packaged(name) or name), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            complaints.append(str(error))
    return "; ".join(complaints)


def cuda_runtime() -> ctypes.CDLL:
    """The CUDA runtime library, which the runtime's GPU build has loaded by the time it has a session. Raises
    OSError."""
    major = str(ort.cuda_version).partition(".")[0]
    return ctypes.CDLL(f"libcudart.so.{major}")


def _packaged(name: str) -> Path | None:
    """In the Python package that TensorRT's wheels install; None where the system has to know."""
    spec = find_spec("tensorrt_libs")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    return None
