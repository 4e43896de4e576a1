"""A check's workplace, whose device is the CPU, and a bundle in its repository."""

from pathlib import Path

import pytest

from benchmarks.gpu_check.workplace import Workplace
from models.bundle import Bundle
from tests.service import graphs as tiny


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    (tmp_path / "own").mkdir()
    return Workplace(tmp_path / "own", tmp_path / "repository", ("cpu",), limit_s=300, cores=2)


@pytest.fixture
def bundle(workplace: Workplace, tmp_path: Path) -> Bundle:
    return tiny.doubler().publish(workplace.repository, "double", tmp_path)
