"""What sources left survives every new layout, and nobody reads behind a source's end."""

import numpy as np
import pytest

from service.generation.source_cache import SourceCache, whole_steps
from tests.service.generation.translators import Translator, translator


@pytest.fixture(scope="module")
def model() -> Translator:
    return translator("transformer")


def left(model: Translator, size: int, seed: int) -> list[np.ndarray]:
    graph, rng = model.decoder, np.random.default_rng(seed)
    shape = (graph.kv_heads, size, graph.head_size)
    return [rng.normal(size=shape).astype(graph.cache_dtype) for _ in graph.cache_names]


def holds(cache: SourceCache, row: int, source: list[np.ndarray]) -> bool:
    size = source[0].shape[1]
    return int(cache.lengths[row]) == size and all(
        np.array_equal(tensor[row, :, :size], side) and not tensor[row, :, size:].any()
        for tensor, side in zip(cache.tensors, source, strict=True)
    )


def test_rows_survive_growing_and_shrinking(model: Translator) -> None:
    cache = SourceCache(model.decoder, rows=4, longest=300)
    sources = [left(model, size, size) for size in (5, 40, 290)]
    for row, source in enumerate(sources):
        cache.fit(row, source[0].shape[1])
        cache.write(row, source)
    assert cache.width == whole_steps(290)
    assert all(holds(cache, row, source) for row, source in enumerate(sources))
    cache.fit(2, 1)  # the long one has left
    assert cache.width == whole_steps(40)
    assert all(holds(cache, row, source) for row, source in enumerate(sources[:2]))


def test_a_slightly_shorter_source_moves_nothing(model: Translator) -> None:
    cache = SourceCache(model.decoder, rows=2, longest=300)
    cache.fit(0, 100)
    before = [tensor.ctypes.data for tensor in cache.tensors], cache.width
    cache.fit(0, 60)
    assert before == ([tensor.ctypes.data for tensor in cache.tensors], cache.width)


def test_a_shorter_source_hides_the_longer_one_before_it(model: Translator) -> None:
    cache = SourceCache(model.decoder, rows=2, longest=64)
    cache.write(0, left(model, 30, 1))
    short = left(model, 3, 2)
    cache.write(0, short)
    assert holds(cache, 0, short)
    cache.move(0, 1)
    assert holds(cache, 1, short)
