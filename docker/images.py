"""Asks the registries which digests the tags in images.toml have today, and pins those.

`python docker/images.py [--check]`; needs skopeo and a way to the registries. After a new base image, build
and test: `make test-image`.
"""

import argparse
import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Failed(Exception):
    """What could not be done, and why, as a sentence for a person."""


def main(root: Path = ROOT, arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Pin the images that others publish.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a pin is old")
    check: bool = parser.parse_args(arguments).check
    table = root / "docker" / "images.toml"
    old: list[str] = []
    try:
        for name, entry in tomllib.loads(table.read_text()).items():
            digest = current_digest(entry)
            state = "as pinned" if digest == entry["digest"] else f"{entry['digest']} → {digest}"
            print(f"{name} {entry['tag']}: {state}")
            if digest != entry["digest"]:
                old.append(name)
                if not check:
                    _replace([table, *(root / file for file in entry["used_by"])], entry, digest)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 1 if old and check else 0


def current_digest(entry: dict[str, Any]) -> str:
    """The digest of what the tag names: a manifest list, byte for byte as the registry has it."""
    reference = f"docker://{entry['image']}:{entry['tag']}"
    try:
        done = subprocess.run(
            ["skopeo", "inspect", "--raw", reference], capture_output=True, check=False
        )
    except FileNotFoundError:
        raise Failed('skopeo is not installed: make tools GROUP="images"') from None
    if done.returncode:
        raise Failed(f"{reference}: {done.stderr.decode().strip()}")
    return f"sha256:{hashlib.sha256(done.stdout).hexdigest()}"


def _replace(files: list[Path], entry: dict[str, Any], digest: str) -> None:
    for file in files:
        text = file.read_text()
        if entry["digest"] not in text:
            raise Failed(f"{file.name} does not name {entry['digest']}, which it is said to use")
        file.write_text(text.replace(entry["digest"], digest))


if __name__ == "__main__":
    sys.exit(main())
