"""OpenVINO's core, and its reader of ONNX."""

import functools
import io

import openvino as ov
from openvino.frontend import FrontEndManager

DEVICE = "CPU"


@functools.cache
def core() -> ov.Core:
    """One per process: each has plug-ins and threads of its own."""
    return ov.Core()


def read(model: bytes) -> ov.Model:
    """As ONNX and nothing else: asked to guess, the core would try every format that it knows on bytes that
    a stranger may have written."""
    front_end = FrontEndManager().load_by_framework("onnx")
    return front_end.convert(front_end.load(io.BytesIO(model)))


@functools.cache
def capabilities() -> tuple[str, ...]:
    """What this processor computes natively: FP32, BF16, FP16, INT8 …"""
    return tuple(core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))
