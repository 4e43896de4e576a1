"""Real processes: what models take is measured, promised, refused beyond the limit, and given back."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from models.bundle import Bundle
from models.datatypes import DataType
from models.manifest import Batching
from models.runtimes.base import LoadOutOfMemory
from service.memory import resident_bytes
from service.workers.base import ModelKey
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from tests.service import graphs

MIB = 1 << 20
SIDE = 2048  # a matrix of 16 MiB
ROW = 1 << 20  # elements: activations of 4 MiB each


def weighty(root: Path, name: str) -> Bundle:
    """16 MiB of weights, and some 4 MiB for every row of a batch."""
    weights = np.random.default_rng(1).random((SIDE, SIDE), np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["hidden"]),
        helper.make_node("ReduceMean", ["hidden", "last"], ["mean"], keepdims=1),
        helper.make_node("Expand", ["mean", "wide"], ["large"]),
        helper.make_node("Sin", ["large"], ["bent"]),
        helper.make_node("ReduceMax", ["bent", "last"], ["y"], keepdims=1),
    ]
    made = graphs.Tiny(
        nodes,
        [graphs.spec("x", DataType.FLOAT, ["batch", SIDE])],
        [graphs.spec("y", DataType.FLOAT, ["batch", 1])],
        {"weights": weights, "wide": np.array([1, ROW]), "last": np.array([1])},
    )
    return made.publish(root / "repository", name, root, batching=Batching(max_batch_size=8))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return weighty(tmp_path_factory.mktemp("memory"), "weighty")


def pool_of(workers: int = 2, memory_limit_bytes: int = 0) -> ProcessPool:
    return ProcessPool(workers, HostOptions(threads=1), memory_limit_bytes=memory_limit_bytes)


@pytest.mark.anyio
async def test_weights_and_the_peak_of_the_largest_batch_are_measured(bundle: Bundle) -> None:
    pool = pool_of()
    await pool.start()
    try:
        report = await pool.examine(bundle)
        assert 14 * MIB < report.memory.loaded_bytes < 60 * MIB
        assert report.memory.opening_bytes >= report.memory.loaded_bytes
        assert report.memory.peaks[0][0] == 1
        assert report.memory.peaks[-1][1] > report.memory.peaks[0][1]
        assert report.memory.at(8) - report.memory.loaded_bytes > 30 * MIB
        await pool.load(bundle)
        entry = pool.memory[ModelKey("weighty", 1)]
        assert entry.copies == 2
        assert entry.taken_bytes > 2 * 14 * MIB
        assert entry.promised_bytes > entry.taken_bytes + 2 * 30 * MIB
        told = pool.memory.to_json()
        assert told["models"] == [["weighty", 1, entry.taken_bytes, entry.promised_bytes]]
        assert 0 < told["free_bytes"] < told["limit_bytes"]
        await pool.unload(ModelKey("weighty", 1))
        assert ModelKey("weighty", 1) not in pool.memory
        assert pool.memory.reserved_bytes() == 0
    finally:
        await pool.close()


@pytest.mark.anyio
async def test_files_that_do_not_fit_are_not_even_opened(bundle: Bundle) -> None:
    pool = pool_of(1, memory_limit_bytes=1)
    await pool.start()
    try:
        with pytest.raises(LoadOutOfMemory, match=r"weighty/1 needs at least .* are free"):
            await pool.examine(bundle)
        assert [worker.state for worker in pool.workers() if worker.state == "examining"] == []
    finally:
        await pool.close()


@pytest.mark.anyio
async def test_batches_too_large_for_the_limit_are_foretold(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model itself fits, eight rows at once in both workers do not."""
    pool = pool_of(2)
    await pool.start()
    try:
        report = await pool.examine(bundle)
        barely = report.memory.at(8) * 2 - MIB
        monkeypatch.setattr(pool.memory, "free_bytes", lambda: barely)
        with pytest.raises(LoadOutOfMemory, match=r"2 workers, .* each with batches of 8"):
            await pool.load(bundle)
        assert pool.memory.to_json()["models"] == []
        monkeypatch.setattr(pool.memory, "free_bytes", lambda: barely + 2 * MIB)
        await pool.load(bundle)
        result = await pool.run(ModelKey("weighty", 1), {"x": np.ones((8, SIDE), np.float32)})
        assert result.outputs["y"].shape == (8, 1)
    finally:
        await pool.close()


@pytest.mark.anyio
async def test_after_unloading_workers_are_as_small_as_before(bundle: Bundle) -> None:
    key, pool = ModelKey("weighty", 1), pool_of(1)
    await pool.start()
    try:
        await pool.load(bundle)  # what a first load leaves behind is the runtime itself
        await pool.unload(key)
        [pid] = pool.pids()
        before = resident_bytes(pid)
        await pool.load(bundle)
        await pool.run(key, {"x": np.ones((8, SIDE), np.float32)})
        assert resident_bytes(pid) > before + 40 * MIB
        await pool.unload(key)
        assert resident_bytes(pid) < before + 8 * MIB
    finally:
        await pool.close()
