"""A secondary's registry and pool follow the primary's, and let go of nothing before its work is done."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.manifest import Batching
from service.errors import NotReady
from service.frontends.mirror import Mirror
from service.frontends.remote_pool import RemotePool
from service.frontends.shared_pool import SharedPool
from service.frontends.snapshot import Snapshot, take
from service.observability.metrics import Metrics
from service.registry import ModelRegistry, ServedModel
from service.settings import Settings
from service.workers.base import ModelKey
from service.workers.options import HostOptions
from tests.service import graphs
from tests.service.loops import in_loop, until

ONE = {"x": np.ones(4, np.float32)}
WAIT = {"x": np.ones(2, np.float32)}
DOUBLE, SLOW = ModelKey("double", 1), ModelKey("slow", 1)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    root = tmp_path_factory.mktemp("mirrored")
    alone = Batching(max_batch_size=1)
    return [
        graphs.doubler().publish(root / "repository", "double", root),
        graphs.slow(300_000).publish(root / "repository", "slow", root, batching=alone),
    ]


class Both:
    """A primary's pool and registry, and a secondary of it in the same process."""

    def __init__(self, pool: SharedPool) -> None:
        self.pool = pool
        self.primary = ModelRegistry()
        self.metrics = Metrics({})
        self.needed: list[ModelKey] = []
        self.lost: list[int] = []
        self.remote = RemotePool(self.lost.append, self.needed.append)
        self.registry = ModelRegistry()
        self.mirror = Mirror(Settings(), self.registry, self.remote, Metrics({}))
        self._number = 0

    async def load(self, bundle: Bundle) -> ServedModel:
        model = ServedModel(bundle, self.pool, self.metrics.model(ModelKey(bundle.name, 1)))
        model.report = await self.pool.load(bundle)
        model.state = "ready"
        self.primary.add(model)
        return model

    async def attach(self) -> None:
        for child in self.pool.up():
            wiring = await child.attach()
            arrived = [os.dup(descriptor) for descriptor in wiring.for_front_end()]
            self.remote.attach(child.pid, wiring.number, arrived)
            wiring.close()

    def snapshot(self) -> Snapshot:
        self._number += 1
        return take(self._number, self.primary, self.pool)

    async def follow(self) -> None:
        await self.mirror.apply(self.snapshot())


@asynccontextmanager
async def both(*bundles: Bundle) -> AsyncIterator[Both]:
    pool = SharedPool(1, HostOptions())
    await pool.start()
    made = Both(pool)
    try:
        for bundle in bundles:
            await made.load(bundle)
        await made.attach()
        yield made
    finally:
        await made.remote.close()
        await pool.close()


async def ask(model: ServedModel, item: dict[str, np.ndarray]) -> np.ndarray:
    assert model.batcher is not None
    return (await model.batcher.submit(item))["y"]


@in_loop
async def test_a_model_of_the_primarys_answers_at_the_secondary(bundles: list[Bundle]) -> None:
    async with both(*bundles) as made:
        made.primary.required, made.primary.is_loading = {"double"}, False
        made.primary.refuse(ModelKey("bad", 2), "its exam failed")
        assert not made.registry.is_ready
        await made.follow()
        assert made.registry.is_ready
        model = made.registry.get("double")
        assert model.report == made.primary.get("double").report
        assert (await ask(model, ONE) == 2).all()
        assert made.registry.index() == made.primary.index()
        made.primary.forget(ModelKey("bad", 2))
        await made.follow()
        assert made.registry.index() == made.primary.index()
        assert made.registry.get("double") is model  # not made anew without need


@in_loop
async def test_what_has_gone_finishes_its_work_before_it_is_let_go(bundles: list[Bundle]) -> None:
    async with both(*bundles) as made:
        await made.follow()
        slow = made.registry.get("slow")
        accepted = [asyncio.ensure_future(ask(slow, WAIT)) for _ in range(3)]
        await asyncio.sleep(0)
        made.primary.remove(SLOW)
        await made.follow()
        assert made.registry.find("slow") is None
        assert not any(task.done() for task in accepted)
        await made.mirror.settled()
        assert all(task.done() and task.exception() is None for task in accepted)
        with pytest.raises(NotReady):
            await made.remote.run(SLOW, {})


@in_loop
async def test_a_version_published_anew_takes_the_place_of_the_old(
    bundles: list[Bundle], tmp_path: Path
) -> None:
    again = graphs.doubler().publish(tmp_path / "repository", "double", tmp_path)
    async with both(bundles[0]) as made:
        await made.follow()
        old = made.registry.get("double")
        await made.pool.unload(DOUBLE)
        await made.load(again)
        await made.follow()
        new = made.registry.get("double")
        assert new is not old
        assert new.bundle.path == again.path
        assert (await ask(new, ONE) == 2).all()


@in_loop
async def test_a_snapshot_that_was_overtaken_changes_nothing(bundles: list[Bundle]) -> None:
    async with both(*bundles) as made:
        old = made.snapshot()
        made.primary.remove(SLOW)
        new = made.snapshot()
        await asyncio.gather(made.mirror.apply(new), made.mirror.apply(old))
        assert made.registry.names() == ["double"]


@in_loop
async def test_a_lost_worker_is_told_and_its_successor_answers(bundles: list[Bundle]) -> None:
    async with both(bundles[0]) as made:
        await made.follow()
        [old] = made.pool.up()
        old.kill()
        await until(lambda: made.lost == [old.pid])
        assert made.remote.is_healthy  # its successor is expected
        waiting = asyncio.ensure_future(ask(made.registry.get("double"), ONE))
        await until(lambda: [child.pid for child in made.pool.up()] not in ([], [old.pid]))
        await made.attach()
        await made.follow()
        assert (await waiting == 2).all()


@in_loop
async def test_a_model_in_quarantine_is_asked_for_and_a_barred_one_refused(
    bundles: list[Bundle],
) -> None:
    async with both(bundles[0]) as made:
        await made.follow()
        handle = made.pool.handles()[DOUBLE]
        away = replace(made.snapshot(), holdings={}, confined=frozenset({handle}))
        await made.mirror.apply(away)
        waiting = asyncio.ensure_future(made.remote.run(DOUBLE, {"x": np.ones((1, 4), np.float32)}))
        await until(lambda: made.needed == [DOUBLE])
        await made.mirror.apply(replace(made.snapshot(), barred=frozenset({handle}), holdings={}))
        with pytest.raises(NotReady, match="took workers down"):
            await waiting
        with pytest.raises(NotReady, match="took workers down"):
            await made.remote.run(DOUBLE, {})
