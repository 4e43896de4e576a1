"""A repository of tiny models, and pools of both kinds that run them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import numpy as np
import pytest
from onnx import helper

from models.bundle import Bundle
from models.datatypes import DataType
from models.manifest import Batching
from service.workers.inprocess import InProcessPool
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from tests.service import graphs

Pool = ProcessPool | InProcessPool
MakePool = Callable[..., AbstractAsyncContextManager[Pool]]


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    root = tmp_path_factory.mktemp("workers")
    one = Batching(max_batch_size=1)
    tiny = {
        "double": graphs.doubler(),
        "gather": graphs.gather(),
        "slow": graphs.slow(150_000),
        "endless": graphs.slow(2**62),
    }
    return {
        name: made.publish(root / "repository", name, root, batching=one)
        for name, made in tiny.items()
    }


@pytest.fixture(scope="session")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One kernel of a second or more: a product of large matrices, which nothing can interrupt."""
    root = tmp_path_factory.mktemp("heavy")
    side = np.array([6000, 6000], np.int64)
    nodes = [
        helper.make_node("Expand", ["x", "side"], ["square"]),
        helper.make_node("MatMul", ["square", "square"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["y"], keepdims=1),
    ]
    made = graphs.Tiny(
        nodes,
        [graphs.spec("x", DataType.FLOAT, ["batch", 1])],
        [graphs.spec("y", DataType.FLOAT, ["batch", 1])],
        {"side": side},
    )
    return made.publish(root / "repository", "heavy", root)


@pytest.fixture(params=["process", "none"])
def make_pool(request: pytest.FixtureRequest) -> MakePool:
    """`async with make_pool(workers) as pool`, for each kind of isolation."""

    @asynccontextmanager
    async def make(workers: int = 1) -> AsyncIterator[Pool]:
        kind = ProcessPool if request.param == "process" else InProcessPool
        pool = kind(workers, HostOptions())
        await pool.start()
        try:
            yield pool
        finally:
            await pool.close()

    return make
