from collections.abc import Iterator
from pathlib import Path

import pytest

from models.manifest import Batching
from tests.service import graphs
from tests.service.conftest import ServerProcess, running

QUICK_S = 0.005


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """quick takes some five milliseconds, slow a quarter of a second, double next to nothing."""
    root = tmp_path_factory.mktemp("faults")
    alone = Batching(max_batch_size=1)
    graphs.slow(6_000).publish(root / "repository", "quick", root, batching=alone)
    graphs.slow(300_000).publish(root / "repository", "slow", root, batching=alone)
    graphs.doubler(2).publish(root / "repository", "double", root)
    return root / "repository"


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[ServerProcess]:
    """Its tests leave it as it was: that is what they test."""
    with running("--repository", str(repository), "--workers", "1") as started:
        yield started
        assert "Traceback" not in started.errors


@pytest.fixture
def port(server: ServerProcess) -> int:
    return port_of(server)


def port_of(server: ServerProcess) -> int:
    return int(server.url.rpartition(":")[2])
