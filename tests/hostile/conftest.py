"""One real server with a model of every task, shared by everything that is thrown at it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.asking import Caller
from tests.hostile.models import publish_every_kind
from tests.service.conftest import ServerProcess, running


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish_every_kind(tmp_path_factory.mktemp("every-kind"))


@pytest.fixture(scope="package")
def server(every_kind: Path) -> Iterator[ServerProcess]:
    with running("--repository", str(every_kind), start_limit_s=120) as started:
        yield started


@pytest.fixture(scope="module")
def ask(server: ServerProcess) -> Iterator[Caller]:
    """Afterwards the server must be the same process, answering, with nothing to complain of."""
    before = len(server.errors)
    with Caller(server.url) as caller:
        yield caller
        assert caller.get("/v2/health/ready")[0] == 200
    assert server.process.poll() is None
    said = server.errors[before:]
    assert "Traceback" not in said
    assert "Warning" not in said
    assert " died" not in said
