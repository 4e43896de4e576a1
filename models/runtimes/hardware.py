"""The machine that figures were measured on: what decides how fast, and how exactly, a graph runs.

A measurement holds for one fingerprint. Read from the kernel and from package metadata; no runtime is
imported and no driver is woken.
"""

import functools
import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models.cgroup import usable_cores

CPUINFO = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt")

# Kernel's flag → our name, from slow to fast. Those that choose kernels of matrix products: the width of
# vectors, and products of 8-bit integers, bfloat16 and float16.
_INSTRUCTION_SETS = {
    "sse4_2": "sse4_2",
    "avx": "avx",
    "f16c": "f16c",
    "fma": "fma",
    "avx2": "avx2",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "amx_int8": "amx_int8",
    "amx_bf16": "amx_bf16",
    "amx_fp16": "amx_fp16",
    "asimd": "neon",
    "asimdhp": "neon_fp16",
    "asimddp": "neon_dotprod",
    "i8mm": "neon_i8mm",
    "bf16": "neon_bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
}


@dataclass(frozen=True)
class Hardware:
    """`stepping`: family and model, since virtual machines hide the name of their processor."""

    processor: str
    stepping: str
    instruction_sets: tuple[str, ...]
    cores: float
    gpus: tuple[str, ...]
    versions: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """16 hex digits; another machine, another core limit or another runtime gives others."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        parts = [self.processor, f"{self.cores:g} core{'s' if self.cores != 1 else ''}"]
        parts += self.gpus
        parts += [" ".join(self.instruction_sets) or "no known instruction sets"]
        parts += [f"{name} {number}" for name, number in self.versions.items()]
        return ", ".join(parts)


def fingerprint() -> str:
    """Of this machine, as this process may use it. Equal fingerprints: measured figures hold."""
    return this_machine().fingerprint


def describe() -> str:
    """The same for people, in one line."""
    return str(this_machine())


@functools.cache
def this_machine() -> Hardware:
    """Looked at once: affinity and limits of a server do not change under it."""
    return look()


def look(*, cpuinfo: Path = CPUINFO, gpus: Path = GPUS, cores: float | None = None) -> Hardware:
    """What cannot be read is left empty; never raises."""
    fields = _first_core(cpuinfo)
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return Hardware(
        processor=_name(fields),
        stepping=_stepping(fields),
        instruction_sets=tuple(ours for flag, ours in _INSTRUCTION_SETS.items() if flag in flags),
        cores=round(usable_cores() if cores is None else cores, 2),
        gpus=_gpu_names(gpus),
        versions=_versions(),
    )


def _first_core(cpuinfo: Path) -> dict[str, str]:
    """The first processor's lines; the others' differ in frequency and number alone."""
    fields: dict[str, str] = {}
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return fields
    for line in lines:
        key, colon, value = line.partition(":")
        if not colon and fields:
            break
        fields[key.strip()] = value.strip()
    return fields


def _name(fields: Mapping[str, str]) -> str:
    """ARM's kernels give numbers instead of a name."""
    if name := fields.get("model name"):
        return " ".join(name.split())
    if part := fields.get("CPU part"):
        return f"{platform.machine()} {fields.get('CPU implementer', '')}/{part}"
    return platform.processor() or platform.machine() or "unknown processor"


def _stepping(fields: Mapping[str, str]) -> str:
    keys = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
    return " ".join(fields[key] for key in keys if key in fields)


def _gpu_names(gpus: Path) -> tuple[str, ...]:
    """NVIDIA's, by what the driver shows of each in /proc; no driver, no GPU."""
    names: list[str] = []
    for card in sorted(gpus.glob("*/information")):
        try:
            lines = card.read_text(errors="replace").splitlines()
        except OSError:
            continue
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
        names += models[:1]
    return tuple(names)


def _versions() -> dict[str, str]:
    """Of the runtimes that are installed."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
