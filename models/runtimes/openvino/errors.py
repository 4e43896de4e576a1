"""OpenVINO's messages → our errors. Nearly all of its exceptions are RuntimeError, so the text decides.

Texts read from OpenVINO 2026.4.1. Most lines of a message say where in its source it was thrown.
"""

import re

from models.errors import InferenceFailed, InputRefused, OutOfMemory, RunError, RunTooLong
from models.runtimes.base import GraphRefused, LoadOutOfMemory

_WHERE = re.compile(r"^(Caught exception: )?Exception from |^Check '|failed at src/|^\[CPU\] ")
_HELP = re.compile(r"^(To facilitate|Summary:|FrontEnd API failed|Model wasn't fully)")
_CANCELLED = "Infer Request was canceled"
# Thrown while the sizes of a node's outputs are computed from the sizes that came in.
_SIZES = re.compile(r"shape_inference|shape infer", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"bad_alloc|[Cc]annot allocate|[Oo]ut of memory|[Ff]ailed to allocate")


def translated(error: Exception) -> RunError:
    """Of a run."""
    text = str(error)
    if _CANCELLED in text:
        return RunTooLong("the model ran for too long on this input and was stopped")
    if is_out_of_memory(error):
        return OutOfMemory(detail=reason_of(error))
    if _SIZES.search(text):
        return InputRefused(f"the model refuses this input: {reason_of(error)}")
    return InferenceFailed("the model failed on this input", detail=reason_of(error))


def refusal(label: str, error: Exception) -> GraphRefused | LoadOutOfMemory:
    """Of opening a graph."""
    if is_out_of_memory(error):
        return LoadOutOfMemory(
            f"{label}: no memory to open it: {reason_of(error)}; unload other models or give it more"
        )
    return GraphRefused(f"{label}: OpenVINO: {reason_of(error)}")


def is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def reason_of(error: Exception) -> str:
    """What is left without the places in its source, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not _WHERE.search(line) and not _HELP.search(line)]
    return ("; ".join(said or lines) or type(error).__name__)[:300]
