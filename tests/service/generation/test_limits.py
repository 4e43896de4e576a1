"""Bounds: the operator's word, then the bundle's, then what memory allows."""

from pathlib import Path

import pytest

from models.manifest import Batching, QueuePolicy
from service.generation.limits import EngineLimits, limits_of
from service.generation.options import GenerationOptions
from tests.service.generation.conftest import CONTEXT, TinyModel
from tests.service.generation.test_host import publish_tiny


def test_limits_come_from_the_manifest(tiny: TinyModel, tmp_path: Path) -> None:
    policy = QueuePolicy(max_queue_size=9)
    batching = Batching(max_batch_size=3, priority_levels=4, default_queue_policy=policy)
    limits = limits_of(publish_tiny(tiny, tmp_path, batching=batching).manifest)
    assert (limits.context_tokens, limits.slots, limits.max_waiting) == (CONTEXT, 3, 9)
    assert (limits.priority_levels, limits.default_priority_level) == (4, 3)


def test_the_operator_wins_over_the_manifest(tiny: TinyModel, tmp_path: Path) -> None:
    options = GenerationOptions(slots=7, max_waiting=2, kv_memory_bytes=5000, lookup_tokens=4)
    limits = limits_of(publish_tiny(tiny, tmp_path).manifest, options, free_bytes=1 << 30)
    assert (limits.slots, limits.max_waiting) == (7, 2)
    assert (limits.kv_memory_bytes, limits.lookup_tokens) == (5000, 4)


def test_without_a_bound_half_of_the_free_memory_is_one(tiny: TinyModel, tmp_path: Path) -> None:
    manifest = publish_tiny(tiny, tmp_path).manifest
    assert limits_of(manifest, free_bytes=1000).kv_memory_bytes == 500
    assert limits_of(manifest).kv_memory_bytes == 0


def test_options_cross_to_the_worker_as_they_are() -> None:
    options = GenerationOptions(slots=3, prefix_cache_bytes=0)
    assert GenerationOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(("priority", "level"), [(0, 2), (1, 1), (3, 3), (4, 2)])
def test_a_priority_that_is_no_level_is_the_default_one(priority: int, level: int) -> None:
    limits = EngineLimits(CONTEXT, priority_levels=3, default_priority_level=2)
    assert limits.level_of(priority) == level


def test_without_levels_all_requests_are_equal() -> None:
    assert {EngineLimits(CONTEXT).level_of(priority) for priority in range(5)} == {0}
