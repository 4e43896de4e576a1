"""Generation through the pools: the same tokens as the engine alone, and work that ends with its caller."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from service.errors import NotReady, WorkerLost
from service.generation.engine import SlotEngine
from service.generation.options import GenerationOptions
from service.generation.request import GenerationRequest
from service.generation.stats import EngineStats
from service.observability.engine_meters import EngineMeters
from service.workers.base import ModelKey, WorkerPool
from service.workers.inprocess import InProcessPool
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from tests.service.generation.conftest import TinyModel, request, run_alone
from tests.service.generation.test_host import publish_tiny
from tests.service.loops import in_loop

KEY = ModelKey("tiny", 1)


def make_pool(kind: str, workers: int = 2) -> WorkerPool:
    options = HostOptions()
    return ProcessPool(workers, options) if kind == "process" else InProcessPool(workers, options)


async def tokens_of(pool: WorkerPool, wanted: GenerationRequest) -> list[int]:
    found: list[int] = []
    async for event in pool.generate(KEY, wanted):
        found += event.token_ids
    return found


@pytest.mark.parametrize("kind", ["process", "none"])
@in_loop
async def test_many_callers_get_the_tokens_that_each_gets_alone(
    kind: str, tiny: TinyModel, make_engine: Callable[..., SlotEngine], tmp_path: Path
) -> None:
    pool = make_pool(kind)
    await pool.start()
    try:
        await pool.load(publish_tiny(tiny, tmp_path))
        wanted = [request([index + 1, 7, 9], max_tokens=8, seed=index) for index in range(6)]
        answers = await asyncio.gather(*(tokens_of(pool, entry) for entry in wanted))
        assert answers == [run_alone(make_engine(slots=1), entry).tokens for entry in wanted]
        await pool.unload(KEY)
        with pytest.raises(NotReady):
            await tokens_of(pool, wanted[0])
    finally:
        await pool.close()


@pytest.mark.parametrize("kind", ["process", "none"])
@in_loop
async def test_what_the_engine_measures_arrives_where_it_is_shown(
    kind: str, tiny: TinyModel, tmp_path: Path
) -> None:
    meters, shown = EngineMeters(), asyncio.Event()

    def measured(key: ModelKey, stats: EngineStats) -> None:
        assert key == KEY
        meters.reported(stats)
        if meters.stats.ended:
            shown.set()

    options = HostOptions(generation=GenerationOptions(slots=5))
    make = ProcessPool if kind == "process" else InProcessPool
    pool = make(1, options, on_stats=measured)
    await pool.start()
    try:
        await pool.load(publish_tiny(tiny, tmp_path))
        assert len(await tokens_of(pool, request([1, 2, 3], max_tokens=4))) == 4
        async with asyncio.timeout(20):
            await shown.wait()
        stats = meters.stats
        assert (stats.slots, stats.running, stats.ended) == (5, 0, {"length": 1})
        assert (stats.prefill_tokens, stats.decode_tokens) == (3, 3)
    finally:
        await pool.close()


@pytest.mark.parametrize("kind", ["process", "none"])
@in_loop
async def test_a_caller_that_leaves_gives_its_slot_back(
    kind: str, tiny: TinyModel, tmp_path: Path
) -> None:
    pool = make_pool(kind)
    await pool.start()
    try:
        await pool.load(publish_tiny(tiny, tmp_path))
        for seed in range(12):  # four times the slots: without cancellation the last would starve
            async with aclosing(
                pool.generate(KEY, request([1], max_tokens=90, seed=seed))
            ) as events:  # type: ignore[type-var]
                await anext(events)
        assert len(await tokens_of(pool, request([1], max_tokens=3, seed=0))) == 3
    finally:
        await pool.close()


@in_loop
async def test_a_killed_worker_ends_the_stream_with_an_error(
    tiny: TinyModel, tmp_path: Path
) -> None:
    pool = ProcessPool(1, HostOptions())
    await pool.start()
    try:
        await pool.load(publish_tiny(tiny, tmp_path))
        events = pool.generate(KEY, request([1], max_tokens=95, seed=0))
        await anext(events)
        os.kill(pool.pids()[0], signal.SIGSTOP)  # so that it cannot finish before it is killed
        os.kill(pool.pids()[0], signal.SIGKILL)
        with pytest.raises(WorkerLost):
            async for _ in events:
                pass
    finally:
        await pool.close()
