"""A lazy model's first request waits for it; however many come, it is loaded once."""

import asyncio
import time
from pathlib import Path

import pytest

from service.errors import DeadlineExceeded, NotReady, QueueFull
from service.lifecycle import waking
from service.lifecycle.leases import acquire
from service.workers.base import ModelKey
from tests.service.lifecycle.world import World, broken
from tests.service.loops import in_loop, until

M1 = ModelKey("m", 1)


async def sleeping(tmp_path: Path, **settings: object) -> World:
    world = World(tmp_path, lazy=True, **settings)
    world.publish()
    await world.lifecycle.start()
    return world


@in_loop
async def test_at_start_it_is_examined_listed_and_ready_but_not_loaded(tmp_path: Path) -> None:
    world = await sleeping(tmp_path)
    assert world.pool.events == ["examine m/1"]
    assert world.states() == {"m/1": "READY"}
    assert world.registry.is_ready
    assert world.metrics.model(M1).is_ready()
    with pytest.raises(NotReady):
        world.registry.get("m")  # who does not wait is not lied to


@in_loop
async def test_requests_wait_and_share_one_load(tmp_path: Path) -> None:
    world = await sleeping(tmp_path)
    with world.pool.holding("load m/1") as gate:
        waiting = [asyncio.create_task(acquire({}, world.registry, "m", None)) for _ in range(50)]
        await until(lambda: "load m/1" in world.pool.events)
        assert not any(task.done() for task in waiting)
        assert world.metrics.model(M1).loaded_at_s == 0
        gate.set()
        models = await asyncio.gather(*waiting)
    assert world.metrics.model(M1).loaded_at_s == pytest.approx(time.time(), abs=60)
    assert world.pool.events == ["examine m/1", "load m/1"]
    assert all(model.is_ready for model in models)
    assert models[0].task is None, "what only typed requests need is not opened for tensors"
    assert await world.ask() == 1


@in_loop
async def test_the_wait_ends_with_the_requests_own_time(tmp_path: Path) -> None:
    world = await sleeping(tmp_path)
    with world.pool.holding("load m/1") as gate:
        now = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded, match="m/1"):
            await acquire({}, world.registry, "m", None, now + 0.02)
        gate.set()
        assert (await acquire({}, world.registry, "m", None)).is_ready, "the load went on"


@in_loop
async def test_a_load_that_fails_is_told_to_all_and_not_tried_again_at_once(
    tmp_path: Path,
) -> None:
    world = await sleeping(tmp_path)
    world.pool.broken[M1] = broken("m/1")
    results = await asyncio.gather(
        *(acquire({}, world.registry, "m", None) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [NotReady] * 3
    with pytest.raises(NotReady) as later:
        await acquire({}, world.registry, "m", None)
    assert later.value.retry_after_s is not None
    assert world.pool.events.count("load m/1") == 1
    assert world.failures(1) == {"bundle": 1}
    world.lifecycle._waking._not_before.clear()  # the pause is over
    del world.pool.broken[M1]
    assert (await acquire({}, world.registry, "m", None)).is_ready


@in_loop
async def test_no_more_wait_than_memory_can_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waking, "_MOST_WAITING", 2)
    world = await sleeping(tmp_path)
    with world.pool.holding("load m/1") as gate:
        waiting = [asyncio.create_task(acquire({}, world.registry, "m", None)) for _ in range(2)]
        await until(lambda: "load m/1" in world.pool.events)
        with pytest.raises(QueueFull):
            await acquire({}, world.registry, "m", None)
        gate.set()
        await asyncio.gather(*waiting)


@in_loop
async def test_a_new_version_of_a_model_that_is_in_use_is_loaded_before_the_swap(
    tmp_path: Path,
) -> None:
    world = await sleeping(tmp_path)
    await acquire({}, world.registry, "m", None)
    world.publish()
    await world.lifecycle.look()
    assert await world.ask() == 2, "nobody waits who did not wait before"


@in_loop
async def test_one_that_is_unloaded_while_requests_wait_is_not_loaded_for_them(
    tmp_path: Path,
) -> None:
    world = await sleeping(tmp_path, model_control_mode="explicit", model="*")
    async with world.lifecycle._turns.of("m"):
        waiting = asyncio.create_task(acquire({}, world.registry, "m", None))
        await asyncio.sleep(0)
        world.lifecycle._retire("m", keep=())
    with pytest.raises(Exception, match="m"):
        await waiting
    assert "load m/1" not in world.pool.events
