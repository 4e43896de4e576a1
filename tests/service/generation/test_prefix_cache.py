"""Prefixes: found by what they depend on and nothing else, bounded in bytes, ends forgotten first."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.generation.prefix_cache import BLOCK_TOKENS, PrefixCache

SHAPE = (3, 2, 320, 4)  # rows, heads, positions, head size
BLOCK_BYTES = 2 * 2 * BLOCK_TOKENS * 4 * 2


def made_cache(capacity_blocks: int = 100) -> PrefixCache:
    return PrefixCache(capacity_blocks * BLOCK_BYTES, "model/1")


def tensors(seed: int = 0) -> list[NDArray[np.float16]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=SHAPE).astype(np.float16) for _ in range(2)]


def prompt(tokens: int, seed: int = 0) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, 1000, tokens)


def test_a_stored_prefix_comes_back_bit_for_bit_into_any_row() -> None:
    cache, source, target = made_cache(), tensors(), [np.zeros(SHAPE, np.float16)] * 2
    ids = prompt(200)
    names = cache.names(ids, "")
    cache.store(names, source, 1)
    target = [tensor.copy() for tensor in target]
    assert cache.restore(names, len(ids), target, 2) == 192
    for copied, original in zip(target, source, strict=True):
        assert (copied[2, :, :192] == original[1, :, :192]).all()
        assert not copied[2, :, 192:].any()
        assert not copied[:2].any()


@pytest.mark.parametrize(("tokens", "held"), [(64, 0), (65, 0), (66, 64), (129, 64), (130, 128)])
def test_two_tokens_at_least_are_left_to_read(tokens: int, held: int) -> None:
    cache = made_cache()
    ids = prompt(192)
    cache.store(cache.names(ids, ""), tensors(), 0)
    assert cache.held_tokens(cache.names(ids[:tokens], ""), tokens) == held


def test_a_prefix_belongs_to_its_model_its_salt_and_every_token_before() -> None:
    cache = made_cache()
    ids = prompt(128)
    names = cache.names(ids, "tenant a")
    cache.store(names, tensors(), 0)
    assert cache.held_tokens(names, 200) == 128
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
        assert cache.held_tokens(other, 200) in (0, 64 if other == names[1:] else 0)
    changed = ids.copy()
    changed[70] += 1
    assert cache.held_tokens(cache.names(changed, "tenant a"), 200) == 64


def test_bytes_are_bounded_and_the_least_recently_used_chain_loses_its_end_first() -> None:
    cache = made_cache(capacity_blocks=5)
    first, second = prompt(192, 1), prompt(192, 2)
    for ids in (first, second):
        cache.store(cache.names(ids, ""), tensors(), 0)
    assert cache.size_bytes == 5 * BLOCK_BYTES
    assert cache.held_tokens(cache.names(first, ""), 300) == 128
    assert cache.held_tokens(cache.names(second, ""), 300) == 192


def test_a_prefix_that_is_used_stays() -> None:
    cache = made_cache(capacity_blocks=4)
    first, second, third = (prompt(128, seed) for seed in range(3))
    for ids in (first, second):
        cache.store(cache.names(ids, ""), tensors(), 0)
    cache.restore(cache.names(first, ""), 200, tensors(), 0)
    assert cache.store(cache.names(third, ""), tensors(), 0) == 2
    assert cache.held_tokens(cache.names(first, ""), 300) == 128
    assert cache.held_tokens(cache.names(second, ""), 300) == 0


def test_no_capacity_keeps_nothing() -> None:
    cache = PrefixCache(0, "m")
    ids = prompt(128)
    assert cache.store(cache.names(ids, ""), tensors(), 0) == 0
    assert len(cache) == 0
    assert cache.restore(cache.names(ids, ""), 128, tensors(), 0) == 0
