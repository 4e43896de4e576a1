"""What can run here, by what is installed and what the machine is. Nothing is imported and no driver woken.

Not promised: that a GPU works. Libraries may be missing and drivers too old, which only opening a graph
tells; `models.runtimes.trial` does that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from models.runtimes import RuntimeInfo, known
from models.runtimes.base import Compute, Provider
from models.runtimes.hardware import Hardware, this_machine

DRIVER = Path("/dev/nvidiactl")

Find = Callable[[str], Path | None]


@dataclass(frozen=True)
class Capability:
    """`instruction_sets`: those of this machine that its kernels use. `precisions`: of graphs that it runs
    without widening their numbers first. `computes`: what it can be told to compute in. `why_not`: what is
    missing and how to get it."""

    runtime: str
    provider: Provider
    instruction_sets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    computes: tuple[Compute, ...] = ()
    is_available: bool = True
    why_not: str = ""


def probe(
    machine: Hardware | None = None, find: Find | None = None, driver: Path = DRIVER
) -> list[Capability]:
    """One entry for each runtime and provider that there could be; never raises. `find`: where a package
    lies, None when it is not installed."""
    machine = machine or this_machine()
    find = find or package_folder
    has_driver = bool(machine.gpus) or driver.exists()
    found: list[Capability] = []
    for info in known():
        folder = find(info.package)
        if folder is None:
            found += [_missing(info, capability) for capability in _LISTS[info.name](machine)]
            continue
        found += [
            _judged(capability, folder, find, has_driver)
            for capability in _LISTS[info.name](machine)
        ]
    return found


def package_folder(name: str) -> Path | None:
    """Where an installed package lies, without importing it."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # a broken installation counts as none
        return None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def _onnxruntime(machine: Hardware) -> list[Capability]:
    """Its own kernels widen float16 on processors of the x86 family, and know no bfloat16."""
    half = ("fp16",) if "neon_fp16" in machine.instruction_sets else ()
    return [
        Capability(
            "onnxruntime",
            "cpu",
            _present(machine, *_X86, "amx_int8", *_ARM),
            ("fp32", *half, "int8", "int4-weight-only"),
            ("fp32",),
        ),
        Capability("onnxruntime", "cuda", (), ("fp32", "fp16", "int4-weight-only"), ("fp32",)),
        Capability(
            "onnxruntime",
            "tensorrt",
            (),
            ("fp32", "fp16", "bf16", "int8"),
            ("fp32", "fp16", "bf16"),
        ),
    ]


def _openvino(machine: Hardware) -> list[Capability]:
    """It computes in bfloat16 or float16 where the processor has products of them, and says so itself
    (OPTIMIZATION_CAPABILITIES) by the same instruction sets."""
    has = set(machine.instruction_sets)
    computes: tuple[Compute, ...] = ("fp32",)
    if has & {"avx512_bf16", "amx_bf16", "neon_bf16"}:
        computes += ("bf16",)
    if has & {"avx512_fp16", "amx_fp16", "neon_fp16"}:
        computes += ("fp16",)
    used = (*_X86, "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16", "amx_fp16", *_ARM)
    return [
        Capability("openvino", "cpu", _present(machine, *used), (*computes, "int8"), computes),
    ]


_X86 = ("avx2", "avx_vnni", "avx512f", "avx512_vnni")
_ARM = ("neon", "neon_fp16", "neon_dotprod", "neon_i8mm", "neon_bf16", "sve")
_LISTS: dict[str, Callable[[Hardware], list[Capability]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}


def _present(machine: Hardware, *names: str) -> tuple[str, ...]:
    return tuple(name for name in machine.instruction_sets if name in names)


def _missing(info: RuntimeInfo, capability: Capability) -> Capability:
    if capability.provider == "cpu":
        return _without(capability, f"not installed: {info.install}")
    return _without(capability, "not installed: pip install 'slipway[gpu]'")


def _judged(capability: Capability, folder: Path, find: Find, has_driver: bool) -> Capability:
    """What keeps a GPU from being used."""
    if capability.provider == "cpu":
        return capability
    if not (folder / "capi" / f"libonnxruntime_providers_{capability.provider}.so").exists():
        return _without(
            capability,
            "not in the installed onnxruntime: pip uninstall onnxruntime, pip install 'slipway[gpu]'",
        )
    if not has_driver:
        return _without(
            capability, "no NVIDIA GPU is visible: driver, or the container's --gpus option"
        )
    if capability.provider == "tensorrt" and find("tensorrt_libs") is None:
        # It may still lie where the system's loader looks; the trial tells.
        return Capability(**{**vars(capability), "why_not": _TENSORRT})
    return capability


_TENSORRT = (
    "TensorRT's libraries (libnvinfer, version 10) are not among Python's packages: see docs/gpu.md"
)


def _without(capability: Capability, why_not: str) -> Capability:
    return Capability(**{**vars(capability), "is_available": False, "why_not": why_not})
