"""`slipway doctor`: what can run on this machine, what cannot and why, and what a process may use of it."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from models.cgroup import core_quota, memory_limit_bytes
from models.runtimes.capabilities import Capability, probe
from models.runtimes.hardware import Hardware, this_machine
from models.sizes import human_bytes
from models.tables import aligned

MEMINFO = Path("/proc/meminfo")
_NONE = "–"
_HEAD = (
    "RUNTIME",
    "PROVIDER",
    "INSTRUCTION SETS",
    "PRECISIONS",
    "COMPUTES IN",
    "AVAILABLE",
    "WHY NOT",
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="what can run models on this machine, and why not",
        description="Open a tiny graph with every runtime and provider that is installed, each in a process "
        "of its own, and print what works, what does not and why. Exits with 1 when nothing works.",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(handler=_examine)


def _examine(arguments: argparse.Namespace) -> int:
    from models.runtimes.trial import tried

    found = [tried(capability) for capability in probe()]
    machine = this_machine()
    if arguments.json:
        print(json.dumps(as_record(found, machine), indent=2))
    else:
        print(as_text(found, machine))
    return 0 if any(capability.is_available for capability in found) else 1


def as_record(found: Sequence[Capability], machine: Hardware) -> dict[str, Any]:
    total, free = memory_bytes()
    return {
        "runtimes": [
            {
                "runtime": capability.runtime,
                "provider": capability.provider,
                "instruction_sets": list(capability.instruction_sets),
                "precisions": list(capability.precisions),
                "computes": list(capability.computes),
                "available": capability.is_available,
                "why_not": capability.why_not,
            }
            for capability in found
        ],
        "processor": machine.processor,
        "instruction_sets": list(machine.instruction_sets),
        "gpus": list(machine.gpus),
        "cores": {
            "usable": machine.cores,
            "host": os.cpu_count(),
            "affinity": len(os.sched_getaffinity(0)),
            "cgroup_quota": core_quota(),
        },
        "memory": {
            "total_bytes": total,
            "available_bytes": free,
            "cgroup_limit_bytes": memory_limit_bytes(),
        },
        "versions": {"slipway": _own_version(), "python": platform.python_version()}
        | dict(machine.versions),
        "fingerprint": machine.fingerprint,
    }


def as_text(found: Sequence[Capability], machine: Hardware) -> str:
    record = as_record(found, machine)
    cores, memory = record["cores"], record["memory"]
    quota, limit = cores["cgroup_quota"], memory["cgroup_limit_bytes"]
    facts = {
        "processor": machine.processor,
        "instruction sets": " ".join(machine.instruction_sets) or _NONE,
        "cores": f"{machine.cores:g} usable; {cores['host']} in the machine, affinity {cores['affinity']}, "
        f"container's quota {_NONE if quota is None else format(quota, 'g')}",
        "memory": f"{human_bytes(memory['available_bytes'])} available of "
        f"{human_bytes(memory['total_bytes'])}; "
        f"container's limit {_NONE if limit is None else human_bytes(limit)}",
        "GPUs": ", ".join(machine.gpus) or _NONE,
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "fingerprint": machine.fingerprint,
    }
    width = max(map(len, facts))
    lines = [f"{name.ljust(width)}  {value}" for name, value in facts.items()]
    return "\n".join([aligned(_HEAD, [_row(capability) for capability in found]), "", *lines])


def memory_bytes(meminfo: Path = MEMINFO) -> tuple[int, int]:
    """In the machine, and free to be taken; zeros where the kernel does not tell."""
    fields: dict[str, int] = {}
    try:
        for line in meminfo.read_text().splitlines():
            name, _, value = line.partition(":")
            fields[name] = int(value.split()[0]) << 10
    except (OSError, ValueError, IndexError):
        return 0, 0
    return fields.get("MemTotal", 0), fields.get("MemAvailable", 0)


def _row(capability: Capability) -> tuple[str, ...]:
    return (
        capability.runtime,
        capability.provider,
        " ".join(capability.instruction_sets) or _NONE,
        " ".join(capability.precisions) or _NONE,
        " ".join(capability.computes) or _NONE,
        "yes" if capability.is_available else "no",
        capability.why_not,
    )


def _own_version() -> str:
    try:
        return version("slipway")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
