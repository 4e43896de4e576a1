"""One worker, several front ends: each gets its own answers, and none can hold up or end the others."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import SlipwayError
from service.errors import WorkerLost
from service.workers.base import ModelKey
from service.workers.connection import Connection
from service.workers.dispatch import Dispatcher
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from service.workers.wiring import Wiring
from tests.service.loops import in_loop, until

X = np.arange(8, dtype=np.float32).reshape(2, 4)


class FrontEnd:
    """A second front end of a pool's only worker, as another process would build it."""

    def __init__(self, pool: ProcessPool, wiring: Wiring) -> None:
        # As after a journey over a socket: new descriptors for the same things.
        arrived = [os.dup(descriptor) for descriptor in wiring.for_front_end()]
        wiring.close()
        self.ended: list[Connection] = []
        self.dispatcher = Dispatcher(self.ended.append)
        self.connection = Connection(Wiring.of(wiring.number, arrived), self.dispatcher)
        self.models = {key: placed.hosted for key, placed in pool._models.items()}
        self.connection.handles = {model.handle for model in self.models.values()}
        self.dispatcher.add(self.connection)

    async def double(self, value: float) -> float:
        inputs = {"x": np.full((1, 4), value, np.float32)}
        result = await self.dispatcher.run(self.models[ModelKey("double", 1)], inputs)
        return float(result.outputs["y"][0, 0])

    def close(self) -> None:
        self.connection.close(WorkerLost("closing"))


@asynccontextmanager
async def serving(*bundles: Bundle) -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(1, HostOptions())
    await pool.start()
    try:
        await asyncio.gather(*map(pool.load, bundles))
        yield pool
    finally:
        await pool.close()


async def second(pool: ProcessPool) -> FrontEnd:
    child = pool._supervisor.children[0]
    assert child is not None
    return FrontEnd(pool, await child.attach())


@in_loop
async def test_every_front_end_gets_its_own_answers(bundles: dict[str, Bundle]) -> None:
    async with serving(bundles["double"]) as pool:
        others = [await second(pool), await second(pool)]
        values = range(30)
        answers = await asyncio.gather(
            *(other.double(value) for value in values for other in others),
            *(pool.run(ModelKey("double", 1), {"x": X + value}) for value in values),
        )
        assert answers[:60] == [2.0 * value for value in values for _ in others]
        for value, result in zip(values, answers[60:], strict=True):
            assert (result.outputs["y"] == 2 * (X + value)).all()
        for other in others:
            other.close()


@in_loop
async def test_a_front_end_that_leaves_is_forgotten(bundles: dict[str, Bundle]) -> None:
    async with serving(bundles["double"], bundles["slow"]) as pool:
        other = await second(pool)
        slow = asyncio.create_task(
            other.dispatcher.run(other.models[ModelKey("slow", 1)], {"x": X[:1, :2]})
        )
        await until(lambda: bool(other.connection.pulse.everything()))
        other.close()  # in the middle of a run
        with pytest.raises(SlipwayError):
            await slow
        result = await pool.run(ModelKey("double", 1), {"x": X})
        assert (result.outputs["y"] == 2 * X).all()
        another = await second(pool)
        assert await another.double(4) == 8.0
        another.close()


@in_loop
async def test_the_end_of_the_owner_ends_the_worker_for_everybody(
    bundles: dict[str, Bundle],
) -> None:
    async with serving(bundles["double"]) as pool:
        other = await second(pool)
        assert await other.double(1) == 2.0
    await until(lambda: bool(other.ended))
    assert not other.connection.is_alive


@in_loop
async def test_a_busy_front_end_does_not_starve_another(bundles: dict[str, Bundle]) -> None:
    """The busy one always has its next batch ready behind the one that runs."""
    async with serving(bundles["double"], bundles["slow"]) as pool:
        other = await second(pool)
        key = ModelKey("slow", 1)
        slow = [asyncio.create_task(pool.run(key, {"x": X[:1, :2]})) for _ in range(6)]
        await until(lambda: bool(other.connection.pulse.everything()))
        assert await other.double(3) == 6.0
        assert sum(task.done() for task in slow) <= 2
        await asyncio.gather(*slow)
        other.close()
