"""Installs the tools of the tests and of continuous integration into .tools/, as tools.toml pins them.

`python tools/install.py [GROUP …]`, or `make tools`. A group that is finished is not touched again
until its pins change; one that was broken off starts over. Only Python's standard library is
needed. Nothing is installed outside .tools/, but for the group of kind `apt`.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / ".tools"
Group = dict[str, Any]

_PATIENT = ("-o", "Acquire::Retries=3")  # npm and pip try again by themselves
_NOISE = ("WARNING:", "W:", "npm warn")


class Failed(Exception):
    """What could not be done, and why, as a sentence for a person."""


def main(argv: Sequence[str] | None = None) -> int:
    groups = _table()
    parser = argparse.ArgumentParser(description="Install the pinned tools into .tools/.")
    parser.add_argument("group", nargs="*", help=f"only these: {', '.join(groups)}")
    chosen: list[str] = parser.parse_args(argv).group or list(groups)
    if unknown := set(chosen) - set(groups):
        parser.error(f"{', '.join(sorted(unknown))}: not a group; there are {', '.join(groups)}")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        print("error: the pinned builds are for Linux on x86-64; the tests of the tools skip here")
        return 1
    failed = [
        name for i, name in enumerate(chosen, 1) if not _ensure(name, groups[name], i, len(chosen))
    ]
    if failed:
        print(
            f"error: not installed: {', '.join(failed)}. What is finished stays; `make tools` goes on."
        )
    return 1 if failed else 0


def _table() -> dict[str, Group]:
    return tomllib.loads((HERE / "tools.toml").read_text())


def _ensure(name: str, group: Group, position: int, total: int) -> bool:
    """Install one group unless it is there; whether it is there now."""
    start, heading = time.monotonic(), f"[{position}/{total}] {name}"
    stamp, pins = TARGET / ".done" / name, _fingerprint(group)
    programs = {program: _path(name, group, program) for program in group["programs"]}
    if stamp.exists() and stamp.read_text() == pins and all(p.exists() for p in programs.values()):
        _link(programs)
        print(f"{heading}: already there ({', '.join(programs)})", flush=True)
        return True
    print(f"{heading}: {group['about']} …", flush=True)
    try:
        note = _INSTALLERS[group["kind"]](TARGET / name, group)
        for program, path in programs.items():
            _verify(path, group["programs"][program])
    except Failed as error:
        print(f"{heading}: failed. {error}", flush=True)
        return False
    _link(programs)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(pins)
    print(f"{heading}: {', '.join(programs)} in {time.monotonic() - start:.0f} s{note}", flush=True)
    return True


def _fingerprint(group: Group) -> str:
    """Changes when anything that decides what is installed does."""
    locks = [HERE / group[key] for key in ("lock", "requirements") if key in group]
    parts = [json.dumps(group, sort_keys=True).encode(), *(lock.read_bytes() for lock in locks)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _path(name: str, group: Group, program: str) -> Path:
    return TARGET / name / str(group["programs"][program]["path"])  # an absolute path stays itself


def _link(programs: dict[str, Path]) -> None:
    folder = TARGET / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for program, path in programs.items():
        link = folder / program
        link.unlink(missing_ok=True)
        link.symlink_to(path)


def _verify(path: Path, program: Group) -> None:
    if not path.exists():
        raise Failed(f"{path.name} is not where it should be ({path})")
    if (expected := program.get("sha256")) and (found := _sha256(path)) != expected:
        raise Failed(f"{path.name} has sha256 {found}, expected {expected}: it will not be used")
    said = _run([str(path), *program.get("says", ["--version"])])
    if program["version"] not in said:
        raise Failed(f"{path.name} says {said.strip()!r}, expected version {program['version']}")


def _npm(folder: Path, group: Group) -> str:
    _needs("npm", "it comes with Node.js")
    folder.mkdir(parents=True, exist_ok=True)
    lock = HERE / group["lock"]
    for file in (lock, lock.with_name("package.json")):
        shutil.copy(file, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _run(["npm", "ci", *quiet], cwd=folder)
    return ""


def _pip(folder: Path, group: Group) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
    requirements = str(HERE / group["requirements"])
    _run([str(folder / "bin" / "pip"), "install", *options, "--requirement", requirements])
    return ""


def _deb(folder: Path, group: Group) -> str:
    for command in ("apt-get", "dpkg-deb"):
        _needs(command, "Debian's packages need Debian or one of its relatives")
    package, version = group["package"], _available(group["package"], group["version"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(["apt-get", *_PATIENT, "download", f"{package}={version}"], cwd=folder)
    (archive,) = folder.glob("*.deb")
    pinned = version == group["version"]
    if pinned and (found := _sha256(archive)) != group["sha256"]:
        raise Failed(f"{package} {version} has sha256 {found}, expected {group['sha256']}")
    _run(["dpkg-deb", "--extract", str(archive), str(folder)])
    archive.unlink()
    return "" if pinned else f" ({version}: newer than the pin, checked by apt's signed index)"


def _apt(_: Path, group: Group) -> str:
    _needs("apt-get", "Debian's packages need Debian or one of its relatives")
    if all(Path(p["path"]).exists() for p in group["programs"].values()):
        return " (the system's own)"
    if os.geteuid() != 0:
        raise Failed(f"needs root: sudo apt-get install {' '.join(group['packages'])}")
    chosen = [f"{name}={_available(name, pin)}" for name, pin in group["packages"].items()]
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(
        ["apt-get", *_PATIENT, "install", "--yes", "--quiet", "--no-install-recommends", *chosen],
        env=quiet,
    )
    return ""


_INSTALLERS = {"npm": _npm, "pip": _pip, "deb": _deb, "apt": _apt}


def _available(package: str, pin: str) -> str:
    """The pinned version, or the same upstream version with another Debian revision."""
    offered = _offered(package)
    if not offered and os.geteuid() == 0:
        _run(["apt-get", "update", "--quiet"])  # a fresh machine has no list of packages yet
        offered = _offered(package)
    if pin in offered:
        return pin
    upstream = pin.rpartition("-")[0]
    for version in offered:
        if version.rpartition("-")[0] == upstream:
            return version
    what = f"offers {', '.join(offered)}" if offered else "knows none: sudo apt-get update"
    raise Failed(f"{package} is pinned at {pin}, and this system's apt {what}")


def _offered(package: str) -> list[str]:
    """Versions that apt can download, newest first."""
    lines = _run(["apt-cache", "madison", package]).splitlines()
    return [columns[1].strip() for line in lines if len(columns := line.split("|")) == 3]


def _needs(command: str, reason: str) -> None:
    if shutil.which(command) is None:
        raise Failed(f"{command} is not installed; {reason}")


def _run(command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Standard output and error of a command that succeeded."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        last = [line for line in lines if not line.startswith(_NOISE)][-4:]
        raise Failed(
            "\n".join([f"`{' '.join(command[:3])} …` ended with {done.returncode}:", *last])
        )
    return done.stdout


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
