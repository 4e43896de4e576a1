"""What can be tried: a small typed table of targets.

They are written `RUNTIME:PRECISION` or `RUNTIME:PRECISION@PROVIDER`; without `@PROVIDER` it is the CPU.
`form` is the file that a target needs, by the name that the file has below `variants/`; without one it is the
reference's own graph, run with another setting. Listing imports no runtime.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import UsageError
from models.runtimes.base import Compute, Provider

WEIGHT_ONLY = ("int8-weight-only", "int4-weight-only")


@dataclass(frozen=True)
class Target:
    """Runtime, provider and precision together name the variant that comes of it."""

    runtime: str
    precision: str
    summary: str
    provider: Provider = "cpu"
    compute: Compute = "fp32"
    form: str | None = None
    needs_calibration: bool = False

    @property
    def name(self) -> str:
        at = "" if self.provider == "cpu" else f"@{self.provider}"
        return f"{self.runtime}:{self.precision}{at}"

    @property
    def file(self) -> str | None:
        return None if self.form is None else f"variants/{self.form}.onnx"


_STATIC = (
    "weights and activations in int8, ranges from calibration data, sensitive layers left alone"
)

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "onnxruntime",
            "fp32-optimized",
            "the same numbers from fewer, fused operators, written once instead of found at every load",
            form="fp32-optimized",
        ),
        Target("onnxruntime", "int8-static", _STATIC, form="int8-static", needs_calibration=True),
        Target(
            "onnxruntime",
            "int8-dynamic",
            "weights in int8, activations measured in every run; for networks of matrix products",
            form="int8-dynamic",
        ),
        Target(
            "onnxruntime",
            "int8-weight-only",
            "matrices in int8 by blocks of 32 with scales of their own; activations rounded row by row",
            form="int8-weight-only",
        ),
        Target(
            "onnxruntime",
            "int4-weight-only",
            "matrices in int4 by blocks of 32; for language models",
            form="int4-weight-only",
        ),
        Target(
            "onnxruntime",
            "fp16",
            "weights and arithmetic in 16 bits, on NVIDIA GPUs",
            provider="cuda",
            form="fp16",
        ),
        Target(
            "onnxruntime",
            "fp16",
            "TensorRT computes the reference's graph in 16 bits where it finds that faster",
            provider="tensorrt",
            compute="fp16",
        ),
        Target("openvino", "fp32", "the reference's graph as it is, on another runtime"),
        Target(
            "openvino",
            "bf16",
            "a setting: the reference's graph, computed in bfloat16",
            compute="bf16",
        ),
        Target(
            "openvino",
            "fp16",
            "a setting: the reference's graph, computed in float16",
            compute="fp16",
        ),
        Target("openvino", "int8-static", _STATIC, form="int8-static", needs_calibration=True),
        Target(
            "openvino",
            "int8-static-bf16",
            "the same file, what is not int8 in it computed in bfloat16",
            compute="bf16",
            form="int8-static",
            needs_calibration=True,
        ),
    )
}


def get(name: str) -> Target:
    """Raises UsageError with the known ones."""
    if name in TARGETS:
        return TARGETS[name]
    close = difflib.get_close_matches(name, TARGETS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UsageError(f"no target named {name!r}: {hint}known targets are {', '.join(TARGETS)}")


def named(names: Sequence[str]) -> tuple[Target, ...]:
    """In the order given, each once. Raises UsageError for an unknown one, or for none."""
    found = tuple({name: get(name) for name in names if name}.values())
    if not found:
        raise UsageError(f"no target is named: known targets are {', '.join(TARGETS)}")
    return found


def of_precisions(precisions: Sequence[str]) -> tuple[Target, ...]:
    """Every target whose file is one of `precisions`, or that needs none, in the table's order."""
    return tuple(
        target for target in TARGETS.values() if target.form is None or target.form in precisions
    )
