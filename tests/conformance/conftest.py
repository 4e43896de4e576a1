from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.models import publish_all
from tests.service.conftest import ServerProcess, running


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("conformance")
    publish_all(root / "repository", root)
    return root / "repository"


@pytest.fixture(scope="session")
def served(repository: Path) -> Iterator[ServerProcess]:
    """One server with its defaults but for small answers, which it compresses too when asked."""
    flags = ("--version-policy", "latest=2", "--compress-above-bytes", "64")
    with running("--repository", str(repository), *flags) as server:
        yield server


@pytest.fixture(scope="session")
def address(served: ServerProcess) -> str:
    """host:port, as tritonclient wants it."""
    return served.url.removeprefix("http://")


@pytest.fixture
def http(served: ServerProcess) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client
