"""The runtime's messages → our errors. Its exceptions share no base and one class stands for many causes,
so the text decides where the class does not.

Texts read from ONNX Runtime 1.31.1: the arena's two, which CPU and CUDA share; `std::bad_alloc` where the
arena is off; `CUDA failure <number>: <CUDA's own words>` from every call of the CUDA provider.
"""

import re

from models.errors import DeviceLost, InferenceFailed, InputRefused, OutOfMemory, RunError
from models.runtimes.base import GraphRefused, LoadOutOfMemory

_OUT_OF_MEMORY = re.compile(
    "|".join(
        (
            "Failed to allocate memory for requested buffer",
            r"Available memory of \d+ is smaller than requested bytes",
            r"std::bad_alloc",
            r"CUDA failure 2\b",  # cudaErrorMemoryAllocation
            "CUBLAS_STATUS_ALLOC_FAILED",
            "CUDNN_STATUS_ALLOC_FAILED",
        )
    )
)
# Errors after which CUDA's documentation says that the process must be ended ("CUDA Runtime API", data
# types, cudaError): 46 device unavailable, 214 uncorrectable ECC error, 700 illegal address, 702 launch
# timeout, 709 context is destroyed, 710 assert, 714 hardware stack error, 715 illegal instruction,
# 716 misaligned address, 717 invalid address space, 718 invalid program counter, 719 launch failure,
# 999 unknown.
_DEVICE_LOST = re.compile(r"CUDA failure (46|214|700|702|709|710|714|715|716|717|718|719|999)\b")


def translated(error: Exception) -> RunError:
    """Of a run. InvalidArgument is the caller's value (an index out of range, a shape that does not fit)."""
    text = str(error)
    if is_out_of_memory(error):
        return OutOfMemory(detail=first_line(error))
    if _DEVICE_LOST.search(text):
        return DeviceLost(detail=first_line(error))
    if type(error).__name__ == "InvalidArgument" or isinstance(error, (ValueError, TypeError)):
        status = first_line(error).rpartition("Status Message: ")[2]
        return InputRefused(f"the model refuses this input: {status[:300]}")
    return InferenceFailed("the model failed on this input", detail=first_line(error))


def refusal(label: str, error: Exception) -> GraphRefused | LoadOutOfMemory:
    """Of opening a graph."""
    if is_out_of_memory(error):
        return LoadOutOfMemory(
            f"{label}: no memory to open it: {first_line(error)}; unload other models or give it more"
        )
    return GraphRefused(f"{label}: ONNX Runtime: {first_line(error)}")


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def is_unshrinkable(error: Exception) -> bool:
    """A session whose arena cannot be asked to shrink says so when it is."""
    return "memory arena shrink list" in str(error)


def is_other_shape(error: InferenceFailed) -> bool:
    """An output did not fit the memory that was bound for it."""
    return "computed output shape" in error.detail


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]
