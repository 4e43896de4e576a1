"""ONNX Runtime on CPU, CUDA and TensorRT, one concern per module:

    session     open a graph, describe it, run it, stop it
    options     what every session is told: threads, external weights
    providers   what each provider is told, as typed options
    profiles    the shapes that TensorRT builds its engine for
    device      runs on a GPU: buffers that stay where they are, captured graphs
    cuda_copies copies within a GPU's memory, by address
    pinned      host memory that a GPU may read by itself
    libraries   NVIDIA's libraries, loaded before they are needed
    shrinkage   when memory that only a large batch needed is given back
    control     a wish to stop, from another thread
    signature   is the graph what the manifest says?
    errors      the runtime's messages → our errors

Importing this imports the runtime; `models.runtimes` does so when the first session is opened.
"""

from models.runtimes.onnxruntime.libraries import load_gpu_libraries
from models.runtimes.onnxruntime.options import add_weights, session_options_of
from models.runtimes.onnxruntime.session import OnnxSession, open_session

__all__ = [
    "OnnxSession",
    "add_weights",
    "load_gpu_libraries",
    "open_session",
    "session_options_of",
]
