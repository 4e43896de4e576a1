"""Writes docker/requirements/: every package that an image installs, by version and sha256.

`make lock`, or `python docker/lock.py [--check | --upgrade]`. Versions are those of constraints.txt; what it
does not know (NVIDIA's libraries) keeps the version of the present lock until --upgrade.

  <image>-libraries.txt  NVIDIA's libraries and PyTorch: gigabytes that change rarely: a layer of their own
  <image>.txt            everything else
  <image>-sources.txt    packages that are published without a wheel
  build.txt              what builds those, and this project itself
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docker" / "requirements"
PYTHON = "3.11"  # of the base images in images.toml
# Debian bookworm has glibc 2.36; uv then takes the wheels that run with it or an older one.
AMD64, ARM64 = "x86_64-manylinux_2_36", "aarch64-manylinux_2_36"
_LIBRARIES = ("nvidia-", "cuda-", "torch==", "triton==")


@dataclass(frozen=True)
class Lock:
    """One image's set. `without_wheel`: packages that are published as source alone."""

    name: str
    extras: tuple[str, ...]
    platforms: tuple[str, ...]
    without_wheel: tuple[str, ...] = ()


LOCKS = (
    Lock("build", (), (AMD64, ARM64)),
    Lock("cpu", ("cpu", "openvino", "otel"), (AMD64, ARM64)),
    Lock("cuda", ("gpu", "otel"), (AMD64,)),
    Lock("train", ("cpu", "train"), (AMD64,), without_wheel=("rouge-score",)),
)


class Failed(Exception):
    """What could not be done, and why, as a sentence for a person."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Lock what the images install.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a lock is old")
    parser.add_argument("--upgrade", action="store_true", help="forget the locks' own versions")
    arguments = parser.parse_args()
    changed = []
    try:
        for lock in LOCKS:
            for name, text in contents(lock, upgrade=arguments.upgrade).items():
                file = FOLDER / name
                if not file.exists() or file.read_text() != text:
                    changed.append(name)
                    if not arguments.check:
                        file.write_text(text)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if changed and arguments.check:
        print(f"error: old: {', '.join(changed)}. `make lock` writes them anew", file=sys.stderr)
        return 1
    print(f"{'written' if changed else 'nothing to change'}: {', '.join(changed) or 'all locks'}")
    return 0


def contents(lock: Lock, *, upgrade: bool = False) -> dict[str, str]:
    """File name → text. Raises Failed when the set cannot be resolved, or platforms disagree."""
    entries: dict[str, set[str]] = {}
    sources: dict[str, set[str]] = {}
    for platform in lock.platforms:
        packages = _resolve(lock, platform, upgrade)
        pins = {f"{package['name']}=={package['version']}" for package in packages}
        known = {*entries, *sources}
        if known and pins != known:
            raise Failed(f"{lock.name}: platforms need different packages: {sorted(pins ^ known)}")
        for package in packages:
            pin = f"{package['name']}=={package['version']}"
            files = package.get("wheels") or [package["sdist"]]
            group = entries if "wheels" in package else sources
            group.setdefault(pin, set()).update(file["hashes"]["sha256"] for file in files)
    libraries = {pin: entries.pop(pin) for pin in sorted(entries) if pin.startswith(_LIBRARIES)}
    files = {f"{lock.name}.txt": _text(lock, entries)}
    if lock.extras:  # also where there is none, so that one Dockerfile builds with and without
        files[f"{lock.name}-libraries.txt"] = _text(lock, libraries)
    if sources:
        files[f"{lock.name}-sources.txt"] = _text(lock, sources)
    return files


def _resolve(lock: Lock, platform: str, upgrade: bool) -> list[dict[str, Any]]:
    """The packages of one platform, as a pylock.toml lists them."""
    own = [] if upgrade else _own_pins(lock)
    try:
        return _compile(lock, platform, own)
    except Failed:
        if not own:
            raise
        return _compile(lock, platform, [])  # what needs these packages has moved on


def _own_pins(lock: Lock) -> list[str]:
    """The present lock's versions of packages that constraints.txt leaves open."""
    known = {_name(pin) for pin in _pins(ROOT / "constraints.txt")}
    files = sorted(FOLDER.glob(f"{lock.name}*.txt"))
    return [pin for file in files for pin in _pins(file) if _name(pin) not in known]


def _pins(file: Path) -> list[str]:
    return re.findall(r"^[\w.-]+==[^\s;]+", file.read_text(), re.MULTILINE)


def _name(pin: str) -> str:
    return re.sub(r"[-_.]+", "-", pin.partition("==")[0]).lower()


def _compile(lock: Lock, platform: str, own: list[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        target, constraints = Path(folder) / "pylock.toml", Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(own))
        command = [str(_uv()), "pip", "compile", "--quiet", "--no-config", "--no-header"]
        command += ["--format", "pylock.toml", "--output-file", str(target)]
        command += ["--python-platform", platform, "--python-version", PYTHON]
        command += ["--constraint", "constraints.txt", "--constraint", str(constraints)]
        command += ["--only-binary", ":all:"]
        for name in lock.without_wheel:
            command += ["--no-binary", name]
        if lock.extras:
            needs = ""
            command += ["pyproject.toml", *(f"--extra={extra}" for extra in lock.extras)]
        else:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())
            needs = "\n".join(project["build-system"]["requires"])
            command += ["-"]
        done = subprocess.run(
            command, cwd=ROOT, input=needs, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Failed(f"{lock.name} for {platform} cannot be resolved:\n{done.stderr.strip()}")
        packages: list[dict[str, Any]] = tomllib.loads(target.read_text())["packages"]
        return packages


def _uv() -> Path:
    program = ROOT / ".tools" / "bin" / "uv"
    if not os.access(program, os.X_OK):
        raise Failed('uv is not installed: make tools GROUP="locks"')
    return program


def _text(lock: Lock, entries: dict[str, set[str]]) -> str:
    machines = " and ".join(platform.partition("-")[0] for platform in lock.platforms)
    lines = [
        "# Written by `make lock` from pyproject.toml and constraints.txt.",
        f"# Linux on {machines}, glibc 2.36, Python {PYTHON}.",
    ]
    for pin in sorted(entries):
        hashes = [f"--hash=sha256:{digest}" for digest in sorted(entries[pin])]
        lines.append(" \\\n    ".join([pin, *hashes]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
