"""Every request that the documentation shows, run as a reader would, on briefly trained models."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.flow.conftest import Flows
from tests.flow.pages import ADDRESS, ROOT, Block, blocks
from tests.service.conftest import ServerProcess, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Servers:
    """One server per page and set of flags, so that a page's blocks see what the earlier ones did."""

    def __init__(self, stack: ExitStack, repository: Path, scratch: Path) -> None:
        self._stack, self._repository, self._scratch = stack, repository, scratch
        self._running: dict[tuple[str, tuple[str, ...]], ServerProcess] = {}

    def url(self, block: Block) -> str:
        key = (block.page if block.flags else "", block.flags)
        if key not in self._running:
            repository = self._scratch / f"repository-{len(list(self._scratch.iterdir()))}"
            shutil.copytree(self._repository, repository)
            server = running("--repository", str(repository), *block.flags)
            self._running[key] = self._stack.enter_context(server)
        return self._running[key].url


@pytest.fixture(scope="module")
def servers(flows: Flows, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack, flows.repository, tmp_path_factory.mktemp("pages"))


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder to work in, with the repository's own examples where the pages expect them."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    return tmp_path


def test_there_are_blocks_to_run() -> None:
    assert {block.page for block in blocks()} >= {"README"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("block", blocks(), ids=str)
def test_a_pasted_block_works(servers: Servers, desk: Path, block: Block) -> None:
    if block.excuse:
        pytest.skip(block.excuse)
    text = block.text.replace(ADDRESS, servers.url(block)) if ADDRESS in block.text else block.text
    text = text.replace("127.0.0.1:8000", servers.url(block).removeprefix("http://"))
    if block.language == "bash":
        text = text.replace("curl -s ", "curl -sS --fail-with-body ")
        text = f'slipway() {{ "{sys.executable}" -m slipway "$@"; }}\n{text}'
        command = ["bash", "-euo", "pipefail", "-c", text]
    else:
        command = [sys.executable, "-c", text]
    result = subprocess.run(
        command,
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout
