"""What was measured on: a figure without it means nothing."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.harness.wrk import wrk_version
from models.cgroup import usable_cores

_PACKAGES = (
    "uvicorn",
    "uvloop",
    "httptools",
    "fastapi",
    "pydantic",
    "orjson",
    "numpy",
    "onnxruntime",
)
_LOOK_S = 1.0


@dataclass(frozen=True)
class Machine:
    """`busy_share`: of all cores, by others, during one second before the first measurement."""

    cpu: str
    cores: float
    memory_gib: float
    system: str
    versions: dict[str, str]
    commit: str
    date: str
    load_average: tuple[float, float, float]
    busy_share: float


def look_at_machine(checkout: Path) -> Machine:
    """Takes a second, in which nothing of ours may run."""
    return Machine(
        cpu=_cpu_model(),
        cores=usable_cores(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions=_versions(),
        commit=commit_of(checkout),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        load_average=os.getloadavg(),
        busy_share=round(psutil.cpu_percent(interval=_LOOK_S) / 100, 2),
    )


def commit_of(checkout: Path) -> str:
    """Its hash; "+ changes" when the files differ from it; "unknown" without git."""
    try:
        head = _git(checkout, "rev-parse", "--short=12", "HEAD")
        is_changed = bool(_git(checkout, "status", "--porcelain", "--", "service", "models"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} + changes" if is_changed else head


def _git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(checkout), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "wrk": wrk_version() or "absent"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found
