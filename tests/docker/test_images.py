"""`python docker/images.py`: a new digest reaches the table and every file that uses it."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.docker.files import script

OLD, MANIFEST = f"sha256:{'0' * 64}", b'{"schemaVersion": 2}'
NEW = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
TABLE = (
    f'[python]\nimage = "docker.io/library/python"\ntag = "3"\ndigest = "{OLD}"\nused_by = ["D"]\n'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "images.toml").write_text(TABLE)
    (tmp_path / "D").write_text(f"FROM docker.io/library/python:3@{OLD}\n")
    return tmp_path


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A skopeo that knows one manifest, and writes down what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "manifest").write_bytes(MANIFEST)
    program = folder / "skopeo"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\ncat {folder}/manifest\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_new_digest_is_written_everywhere(root: Path, registry: Path) -> None:
    assert script("images").main(root, []) == 0
    assert NEW in (root / "docker" / "images.toml").read_text()
    assert (root / "D").read_text() == f"FROM docker.io/library/python:3@{NEW}\n"
    assert (registry / "asked").read_text() == "inspect --raw docker://docker.io/library/python:3\n"
    assert script("images").main(root, ["--check"]) == 0


def test_a_check_writes_nothing_and_fails_on_an_old_pin(root: Path, registry: Path) -> None:
    assert script("images").main(root, ["--check"]) == 1
    assert OLD in (root / "docker" / "images.toml").read_text()


def test_a_file_that_does_not_use_the_pin_is_named(
    root: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "D").write_text("FROM python\n")
    assert script("images").main(root, []) == 1
    assert "D does not name" in capsys.readouterr().err


def test_without_skopeo_a_sentence_says_how_to_get_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(root))
    assert script("images").main(root, []) == 1
    assert 'make tools GROUP="images"' in capsys.readouterr().err
