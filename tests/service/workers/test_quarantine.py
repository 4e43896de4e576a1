"""A model that takes workers down: its neighbours are hit once at most, then it runs alone, then not at all.

The faults are real: processes are ended by signals in the middle of a run.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from models.bundle import Bundle
from service.errors import NotReady, SlipwayError, WorkerLost
from service.workers.base import ModelKey
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from service.workers.quarantine import Quarantine
from tests.service.loops import in_loop, until

X = np.arange(8, dtype=np.float32).reshape(2, 4)
SLOW, DOUBLE = ModelKey("slow", 1), ModelKey("double", 1)


@asynccontextmanager
async def serving(bundles: dict[str, Bundle], workers: int = 1) -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(workers, HostOptions())
    await pool.start()
    try:
        await asyncio.gather(pool.load(bundles["slow"]), pool.load(bundles["double"]))
        yield pool
    finally:
        await pool.close()


def running_slow(pool: ProcessPool) -> list[int]:
    """Processes that are computing `slow` at this moment."""
    handle = pool._models[SLOW].handle
    children = [*pool._supervisor.children, *pool._quarantine.children()]
    return [
        child.pid
        for child in children
        if child is not None
        and any(
            doing.handle == handle and doing.lane == 0
            for doing in child.connection.pulse.everything()
        )
    ]


async def crash(pool: ProcessPool, number: signal.Signals = signal.SIGSEGV) -> int:
    """`slow` takes down the worker that runs it; which one that was."""
    run = asyncio.create_task(pool.run(SLOW, {"x": X[:1, :2]}))
    await until(lambda: bool(running_slow(pool)))
    [pid] = running_slow(pool)
    os.kill(pid, number)
    with pytest.raises(WorkerLost):
        await run
    return pid


async def double(pool: ProcessPool) -> None:
    result = await pool.run(DOUBLE, {"x": X})
    assert (result.outputs["y"] == 2 * X).all()


@in_loop
async def test_after_a_crash_the_model_runs_alone_and_its_neighbours_are_left_in_peace(
    bundles: dict[str, Bundle],
) -> None:
    async with serving(bundles) as pool:
        first = await crash(pool)
        answer = await pool.run(SLOW, {"x": X[:1, :2]})  # waits for the process of its own
        assert (answer.outputs["y"] == X[:1, :2]).all()
        await until(lambda: len(pool.pids()) == 1)  # the successor may still be on its way
        [pooled], [alone] = pool.pids(), [w for w in pool.workers() if w.state == "quarantine"]
        assert alone.models == ("slow/1",)
        assert len({first, pooled, alone.pid}) == 3
        neighbours = asyncio.gather(*(double(pool) for _ in range(20)))
        assert await crash(pool) == alone.pid
        await neighbours
        await double(pool)
        assert pool.pids() == [pooled]


@in_loop
async def test_what_waited_behind_the_guilty_moves_to_another_worker(
    bundles: dict[str, Bundle],
) -> None:
    async with serving(bundles) as pool:
        guilty = asyncio.create_task(pool.run(SLOW, {"x": X[:1, :2]}))
        await until(lambda: bool(running_slow(pool)))
        behind = asyncio.create_task(double(pool))  # the second slot of the only worker
        await asyncio.sleep(0)
        assert pool._supervisor.children[0].connection.in_flight == 2
        os.kill(pool.pids()[0], signal.SIGKILL)
        with pytest.raises(WorkerLost):
            await guilty
        await behind


@in_loop
async def test_three_crashes_within_a_minute_refuse_the_model_until_it_is_loaded_anew(
    bundles: dict[str, Bundle],
) -> None:
    async with serving(bundles) as pool:
        for _ in range(3):
            await crash(pool)
        with pytest.raises(NotReady, match="slow/1 took workers down repeatedly"):
            await pool.run(SLOW, {"x": X[:1, :2]})
        await double(pool)
        assert not [worker for worker in pool.workers() if worker.state == "quarantine"]
        await pool.unload(SLOW)
        await pool.load(bundles["slow"])
        await pool.run(SLOW, {"x": X[:1, :2]})


@in_loop
async def test_another_models_work_is_hit_once_at_most(bundles: dict[str, Bundle]) -> None:
    """Callers that try again once always get through, however often the bad model crashes."""
    hits: list[int] = []

    async def neighbour(pool: ProcessPool) -> None:
        for attempt in range(2):
            try:
                await double(pool)
            except SlipwayError:
                hits.append(attempt)
            else:
                return
        raise AssertionError("hit twice")

    async with serving(bundles, workers=2) as pool:
        callers = [asyncio.create_task(neighbour(pool)) for _ in range(100)]
        for _ in range(3):
            await crash(pool)
            callers += [asyncio.create_task(neighbour(pool)) for _ in range(100)]
        await asyncio.gather(*callers)
    assert set(hits) <= {0}


@in_loop
async def test_a_restart_with_models_takes_less_than_two_seconds(
    bundles: dict[str, Bundle],
) -> None:
    async with serving(bundles) as pool:
        began = time.monotonic()
        await crash(pool)
        await double(pool)
        assert time.monotonic() - began < 2.0 + max(0.0, os.getloadavg()[0] - 1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def watched(pool: ProcessPool) -> tuple[Quarantine, Clock]:
    """The pool's quarantine under a clock of the test's, its model crashed once and up again."""
    clock = Clock()
    pool._quarantine._clock = clock
    await crash(pool)
    await until(lambda: not pool._quarantine._wards[pool._models[SLOW].handle].is_starting)
    return pool._quarantine, clock


@in_loop
async def test_a_model_that_behaved_returns_to_the_others(bundles: dict[str, Bundle]) -> None:
    async with serving(bundles) as pool:
        quarantine, clock = await watched(pool)
        quarantine._good_runs = 2
        for _ in range(2):
            await pool.run(SLOW, {"x": X[:1, :2]})
        clock.now = 59.0
        quarantine.look()
        assert [w.state for w in pool.workers()] == ["ready", "quarantine"]
        clock.now = 60.0
        quarantine.look()
        await until(lambda: not quarantine)
        await until(lambda: len(pool.workers()) == 1)
        assert set(pool.workers()[0].models) == {"slow/1", "double/1"}
        await pool.run(SLOW, {"x": X[:1, :2]})


@in_loop
async def test_an_idle_process_goes_and_the_next_request_brings_it_back(
    bundles: dict[str, Bundle],
) -> None:
    async with serving(bundles) as pool:
        quarantine, clock = await watched(pool)
        clock.now = 60.0
        quarantine.look()
        assert not list(quarantine.children())
        await pool.run(SLOW, {"x": X[:1, :2]})
        assert [w.models for w in pool.workers()] == [("double/1",), ("slow/1",)]
