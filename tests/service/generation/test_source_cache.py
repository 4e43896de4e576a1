"""What sources left survives every new layout, and nobody reads behind a source's end."""

import ctypes

import numpy as np
import pytest

from service.generation.source_cache import SourceCache, whole_steps
from service.generation.source_memory import DeviceSourceMemory, HostSourceMemory, SourceMemory
from tests.service.generation.test_kv_memory import HostCopies
from tests.service.generation.translators import Translator, translator


@pytest.fixture(scope="module")
def model() -> Translator:
    return translator("transformer")


@pytest.fixture(params=["host", "device"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def cache_of(model: Translator, kind: str, rows: int, longest: int) -> SourceCache:
    """`device`: this process's memory in the GPU's place."""
    memory: SourceMemory
    if kind == "device":
        memory = DeviceSourceMemory(model.decoder, rows, HostCopies())
    else:
        memory = HostSourceMemory(model.decoder, rows, whole_steps(longest))
    return SourceCache(memory, rows, longest)


def tensors_of(model: Translator, cache: SourceCache) -> list[np.ndarray]:
    if isinstance(cache.memory, HostSourceMemory):
        return cache.memory.tensors
    assert isinstance(cache.memory, DeviceSourceMemory)
    graph = model.decoder
    shape = (len(cache.lengths), graph.kv_heads, cache.width, graph.head_size)
    size = int(np.prod(shape)) * graph.cache_dtype.itemsize
    return [
        np.frombuffer(ctypes.string_at(value.data_ptr(), size), graph.cache_dtype).reshape(shape)
        for value in cache.memory._values
    ]


def left(model: Translator, size: int, seed: int) -> list[np.ndarray]:
    graph, rng = model.decoder, np.random.default_rng(seed)
    shape = (graph.kv_heads, size, graph.head_size)
    return [rng.normal(size=shape).astype(graph.cache_dtype) for _ in graph.cache_names]


def holds(model: Translator, cache: SourceCache, row: int, source: list[np.ndarray]) -> bool:
    size = source[0].shape[1]
    return int(cache.lengths[row]) == size and all(
        np.array_equal(tensor[row, :, :size], side) and not tensor[row, :, size:].any()
        for tensor, side in zip(tensors_of(model, cache), source, strict=True)
    )


def test_rows_survive_growing_and_shrinking(model: Translator, kind: str) -> None:
    cache = cache_of(model, kind, rows=4, longest=300)
    sources = [left(model, size, size) for size in (5, 40, 290)]
    for row, source in enumerate(sources):
        cache.fit(row, source[0].shape[1])
        cache.write(row, source)
    assert cache.width == whole_steps(290)
    assert all(holds(model, cache, row, source) for row, source in enumerate(sources))
    cache.fit(2, 1)  # the long one has left
    assert cache.width == whole_steps(40)
    assert all(holds(model, cache, row, source) for row, source in enumerate(sources[:2]))


def test_a_slightly_shorter_source_moves_nothing(model: Translator, kind: str) -> None:
    cache = cache_of(model, kind, rows=2, longest=300)
    cache.fit(0, 100)
    memory, width = cache.memory, cache.width
    assert isinstance(memory, HostSourceMemory | DeviceSourceMemory)
    before = list(memory.tensors if isinstance(memory, HostSourceMemory) else memory._values)
    cache.fit(0, 60)
    after = memory.tensors if isinstance(memory, HostSourceMemory) else memory._values
    assert cache.width == width
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_shorter_source_hides_the_longer_one_before_it(model: Translator, kind: str) -> None:
    cache = cache_of(model, kind, rows=2, longest=64)
    cache.write(0, left(model, 30, 1))
    short = left(model, 3, 2)
    cache.write(0, short)
    assert holds(model, cache, 0, short)
    cache.move(0, 1)
    assert holds(model, cache, 1, short)
