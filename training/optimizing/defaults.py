"""Which targets are tried when nobody names any, and why one cannot be tried on this machine."""

from collections.abc import Sequence
from pathlib import Path

import onnx

from models.runtimes.capabilities import probe
from models.runtimes.hardware import Hardware
from training.optimizing.subject import Subject
from training.optimizing.targets import TARGETS, WEIGHT_ONLY, Target

_MATRICES = ("MatMul", "Gemm")
# Of a thorough search, where the work's own list is not empty.
_MORE = ("fp32-optimized", "int8-dynamic", "int8-weight-only", "fp16")


def quick(subject: Subject) -> tuple[Target, ...]:
    """What a training run tries by the way: the files that its kind of work lists, and bfloat16."""
    forms = subject.precisions()
    wanted = [
        target for target in TARGETS.values() if target.form in forms and target.compute == "fp32"
    ]
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


def why_not(target: Target, machine: Hardware | None = None) -> str:
    """Why figures of this target cannot be had here; empty: they can. `machine`: another one than this."""
    for found in probe(machine):
        if (found.runtime, found.provider) != (target.runtime, target.provider):
            continue
        if not found.is_available:
            return found.why_not
        if target.compute not in found.computes:
            return f"this processor does not compute in {target.compute}"
        return ""
    return f"{target.runtime} has no provider {target.provider}"


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
