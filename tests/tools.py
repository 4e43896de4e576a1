"""The command-line tools that `make tools` installs, for tests that run them."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGET = ROOT / ".tools"


def tool(name: str) -> Path:
    """The installed program; a test without it is skipped, and says what gets it."""
    group = _group(name)
    program = TARGET / "bin" / name
    if not program.exists():
        pytest.skip(f'{name} is not installed: make tools (or only it: make tools GROUP="{group}")')
    return program


def node_packages() -> Path:
    """The folder in which Node.js finds the packages of tools/npm; skips as `tool` does."""
    folder = TARGET / "npm"
    if not (folder / "node_modules").exists():
        pytest.skip(
            'npm\'s packages are not installed: make tools (or only them: make tools GROUP="npm")'
        )
    return folder


def _group(name: str) -> str:
    table = tomllib.loads((ROOT / "tools" / "tools.toml").read_text())
    for group, entry in table.items():
        if name in entry["programs"]:
            return group
    raise KeyError(f"{name} is not in tools/tools.toml")  # a misspelt name must not skip
