"""Prefixes: found by what they depend on and nothing else, bounded in bytes, ends forgotten first."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.generation.prefix_cache import BLOCK_TOKENS as BLOCK
from service.generation.prefix_cache import PrefixCache

SHAPE = (3, 2, 320, 4)  # rows, heads, positions, head size
BLOCK_BYTES = 2 * 2 * BLOCK * 4 * 2


def made_cache(capacity_blocks: int = 100) -> PrefixCache:
    return PrefixCache(capacity_blocks * BLOCK_BYTES, "model/1")


def tensors(seed: int = 0) -> list[NDArray[np.float16]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=SHAPE).astype(np.float16) for _ in range(2)]


def prompt(tokens: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 1000, tokens)


def test_a_stored_prefix_comes_back_bit_for_bit_into_any_row() -> None:
    cache, source, target = made_cache(), tensors(), [np.zeros(SHAPE, np.float16)] * 2
    ids, whole = prompt(4 * BLOCK - 1), 3 * BLOCK
    names = cache.names(ids, "")
    cache.store(names, source, 1)
    target = [tensor.copy() for tensor in target]
    assert cache.restore(names, len(ids), target, 2) == whole
    for copied, original in zip(target, source, strict=True):
        assert (copied[2, :, :whole] == original[1, :, :whole]).all()
        assert not copied[2, :, whole:].any()
        assert not copied[:2].any()


@pytest.mark.parametrize(
    ("blocks", "more", "held"), [(1, 0, 0), (1, 1, 0), (1, 2, 1), (2, 1, 1), (2, 2, 2)]
)
def test_two_tokens_at_least_are_left_to_read(blocks: int, more: int, held: int) -> None:
    cache = made_cache()
    ids, tokens = prompt(3 * BLOCK), blocks * BLOCK + more
    cache.store(cache.names(ids, ""), tensors(), 0)
    assert cache.held_tokens(cache.names(ids[:tokens], ""), tokens) == held * BLOCK


def test_a_prefix_belongs_to_its_model_its_salt_and_every_token_before() -> None:
    cache = made_cache()
    ids = prompt(2 * BLOCK)
    names = cache.names(ids, "tenant a")
    cache.store(names, tensors(), 0)
    assert cache.held_tokens(names, 200) == 2 * BLOCK
    changed = ids.copy()
    changed[0] += 1
    for other in (
        cache.names(ids, "tenant b"),
        cache.names(ids, ""),
        PrefixCache(1, "model/2").names(ids, "tenant a"),
        cache.names(changed, "tenant a"),
        names[1:],
    ):
        assert not set(other) & {names[0]}
        assert cache.held_tokens(other, 200) in (0, BLOCK if other == names[1:] else 0)
    changed = ids.copy()
    changed[BLOCK + 1] += 1
    assert cache.held_tokens(cache.names(changed, "tenant a"), 200) == BLOCK


def test_bytes_are_bounded_and_the_least_recently_used_chain_loses_its_end_first() -> None:
    cache = made_cache(capacity_blocks=5)
    first, second = prompt(3 * BLOCK, 1), prompt(3 * BLOCK, 2)
    for ids in (first, second):
        cache.store(cache.names(ids, ""), tensors(), 0)
    assert cache.size_bytes == 5 * BLOCK_BYTES
    assert cache.held_tokens(cache.names(first, ""), 300) == 2 * BLOCK
    assert cache.held_tokens(cache.names(second, ""), 300) == 3 * BLOCK


def test_a_prefix_that_is_used_stays() -> None:
    cache = made_cache(capacity_blocks=4)
    first, second, third = (prompt(2 * BLOCK, seed) for seed in range(3))
    for ids in (first, second):
        cache.store(cache.names(ids, ""), tensors(), 0)
    cache.restore(cache.names(first, ""), 200, tensors(), 0)
    assert cache.store(cache.names(third, ""), tensors(), 0) == 2
    assert cache.held_tokens(cache.names(first, ""), 300) == 2 * BLOCK
    assert cache.held_tokens(cache.names(second, ""), 300) == 0


def test_no_capacity_keeps_nothing() -> None:
    cache = PrefixCache(0, "m")
    ids = prompt(2 * BLOCK)
    assert cache.store(cache.names(ids, ""), tensors(), 0) == 0
    assert len(cache) == 0
    assert cache.restore(cache.names(ids, ""), 2 * BLOCK, tensors(), 0) == 0


def test_what_lies_on_a_device_is_not_kept() -> None:
    cache = made_cache()
    ids = prompt(3 * BLOCK)
    names = cache.names(ids, "")
    assert cache.store(names, [], 0) == 0
    assert cache.held_tokens(names, 300) == 0
