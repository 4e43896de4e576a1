"""NVIDIA's libraries, which the GPU build of the runtime needs and does not bring."""

import contextlib
import functools
import io

import onnxruntime as ort


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
