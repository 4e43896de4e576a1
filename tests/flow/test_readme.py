"""`make demo`'s second half, run as a reader would, on briefly trained models."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT, Flow
from tests.flow.pages import blocks

pytestmark = pytest.mark.slow


def test_the_readme_has_requests_for_every_demo_model() -> None:
    text = "\n".join(block.text for block in blocks() if block.page == "README")
    assert all(name in text for name in ("digits", "language-id", "pycode-gpt", "digits-vae"))


def test_the_demo_reuses_what_is_published_answers_and_ends_without_a_terminal(
    flows: dict[str, Flow], flow_repository: Path, tmp_path: Path
) -> None:
    shutil.copytree(flow_repository, tmp_path / "models" / "repository")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "examples" / "demo.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for name in flows:
        assert f"{name}: version 1 is published, reusing it" in result.stdout
        assert re.search(rf"^{name} +asked", result.stdout, re.MULTILINE)
    assert (tmp_path / "runs" / "demo-three.png").read_bytes().startswith(b"\x89PNG")
