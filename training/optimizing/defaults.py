"""Which targets are tried when nobody names any, and why one cannot be tried on this machine."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import onnx

from models.runtimes import known
from models.runtimes.hardware import this_machine
from training.optimizing.subject import Subject
from training.optimizing.targets import TARGETS, WEIGHT_ONLY, Target

# Processors on which bfloat16 is computed and not only stored.
_BF16 = frozenset({"avx512_bf16", "amx_bf16", "neon_bf16"})
_MATRICES = ("MatMul", "Gemm")
# Of a thorough search, where the work's own list is not empty.
_MORE = ("fp32-optimized", "int8-dynamic", "int8-weight-only", "fp16")


def quick(subject: Subject) -> tuple[Target, ...]:
    """What a training run tries by the way: the files that its kind of work lists, and bfloat16."""
    forms = subject.precisions()
    wanted = [target for target in TARGETS.values() if target.form in forms]
    if subject.takes_settings:
        wanted.append(TARGETS["openvino:bf16"])
    return usable(wanted)


def thorough(subject: Subject) -> tuple[Target, ...]:
    """Everything that may do some good, and can be measured here."""
    forms = set(subject.precisions())
    if forms and not subject.has_own_exams and not subject.why_not_evaluated:
        forms.update(_MORE)
        if next(iter(subject.calibration()), None) is not None:
            forms.add("int8-static")
        if not is_mostly_matrices(subject.graph):
            forms -= {"int8-dynamic", *WEIGHT_ONLY}
    wanted = [
        target
        for target in TARGETS.values()
        if (subject.takes_settings if target.form is None else target.form in forms)
    ]
    return usable(wanted)


def usable(targets: Sequence[Target]) -> tuple[Target, ...]:
    return tuple(target for target in targets if not why_not(target))


def why_not(target: Target) -> str:
    """Why figures of this target cannot be had here; empty: they can."""
    reason = availability(target.runtime, target.provider)
    if reason:
        return reason
    if target.compute == "bf16" and _BF16.isdisjoint(this_machine().instruction_sets):
        return "this processor does not compute in bfloat16"
    return ""


def availability(runtime: str, provider: str) -> str:
    """Why this runtime cannot use this provider here; empty: it can."""
    if runtime not in {info.name for info in known()} or find_spec(runtime) is None:
        return f"runtime {runtime} is not installed"
    if provider == "cpu":
        return ""
    if not this_machine().gpus:
        return f"there is no NVIDIA GPU here to measure {provider} on"
    import onnxruntime

    wanted = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}[provider]
    if wanted not in onnxruntime.get_available_providers():
        return f"this ONNX Runtime has no provider {provider}: install .[gpu]"
    return ""


def is_mostly_matrices(path: Path) -> bool:
    """Whether most weights, embeddings apart, stand in matrix products: others gain nothing there."""
    graph = onnx.load(path, load_external_data=False).graph
    sizes = {weight.name: _size(weight) for weight in graph.initializer}
    tables = {node.input[0] for node in graph.node if node.op_type == "Gather"}
    in_products = {name for node in graph.node if node.op_type in _MATRICES for name in node.input}
    everything = sum(size for name, size in sizes.items() if name not in tables)
    return sum(size for name, size in sizes.items() if name in in_products) * 2 > everything


def _size(weight: onnx.TensorProto) -> int:
    size = 1
    for axis in weight.dims:
        size *= axis
    return size
