"""A GPU that is none."""

from collections.abc import Iterator

import pytest

from models.runtimes.onnxruntime import load_gpu_libraries
from tests.models.runtimes.onnxruntime.fakes import FakeGpu


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpu]:
    yield FakeGpu(monkeypatch)
    load_gpu_libraries.cache_clear()
