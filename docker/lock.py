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
    Lock("cpu", ("cpu", "otel"), (AMD64, ARM64)),
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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "pylock.toml"
        command = [str(_uv()), "pip", "compile", "--quiet", "--no-config", "--no-header"]
        command += ["--format", "pylock.toml", "--output-file", str(target)]
        command += ["--python-platform", platform, "--python-version", PYTHON]
        command += ["--constraint", "constraints.txt", "--only-binary", ":all:"]
        for name in lock.without_wheel:
            command += ["--no-binary", name]
        if not upgrade:
            for file in sorted(FOLDER.glob(f"{lock.name}*.txt")):
                command += ["--constraint", str(file)]
        if lock.extras:
            command += ["pyproject.toml", *(f"--extra={extra}" for extra in lock.extras)]
            needs = ""
        else:
            command += ["-"]
            needs = "\n".join(project["build-system"]["requires"])
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
