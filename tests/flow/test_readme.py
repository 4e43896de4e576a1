"""The README's requests and `make demo`'s second half, run as a reader would, on briefly trained models."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flow.conftest import ROOT, Flow
from tests.service.conftest import ServerProcess

pytestmark = pytest.mark.slow


def _curl_commands() -> list[str]:
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```bash\n(.*?)```", readme, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("curl ")]


def test_the_readme_has_requests_for_every_demo_model() -> None:
    text = "\n".join(_curl_commands())
    assert all(name in text for name in ("digits", "language-id", "pycode-gpt", "digits-vae"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", _curl_commands(), ids=lambda line: line.split("8000")[1][:40])
def test_a_pasted_request_is_answered(
    flows: dict[str, Flow], served: ServerProcess, command: str
) -> None:
    here = command.replace("http://127.0.0.1:8000", served.url).replace(
        "curl -s", "curl -sS --fail-with-body", 1
    )
    result = subprocess.run(["bash", "-c", here], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout


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
