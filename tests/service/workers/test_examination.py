"""A model that explodes, hangs or crashes while it is loaded costs a verdict and nothing else."""

import asyncio
import os
import signal
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx import helper

from models.bundle import Bundle
from models.datatypes import DataType
from models.errors import ExamFailed
from models.golden import Golden
from models.runtimes.base import GraphRefused, LoadCrashed, LoadOutOfMemory, LoadTimeout
from service.workers.base import ModelKey
from service.workers.examination import Examiner
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from tests.service import graphs
from tests.service.loops import in_loop, until

X = np.arange(4, dtype=np.float32).reshape(2, 2)


@asynccontextmanager
async def examiner(timeout_s: float = 20.0, memory_bytes: int = 0) -> AsyncIterator[Examiner]:
    made = Examiner(HostOptions(), timeout_s=timeout_s, memory_bytes=memory_bytes)
    try:
        yield made
    finally:
        await made.close()


def endless(folder: Path) -> Bundle:
    """Its golden exam never ends."""
    golden = Golden({"x": X}, {"y": X})
    return graphs.slow(2**62).publish(folder / "repository", "endless", folder, golden=golden)


def hungry(folder: Path, gigabytes: int, has_exam: bool = True) -> Bundle:
    """A graph of a few hundred bytes that wants a lot of memory when it runs."""
    fill = helper.make_node("Expand", ["x", "shape"], ["wide"])
    total = helper.make_node("ReduceSum", ["wide"], ["y"], keepdims=1)
    bomb = graphs.Tiny(
        [fill, total],
        [graphs.spec("x", DataType.FLOAT, ["batch", 2])],
        [graphs.spec("y", DataType.FLOAT, ["batch", 1])],
        {"shape": np.array([gigabytes << 27, 2], np.int64)},
    )
    golden = Golden({"x": X[:1]}, {"y": np.zeros((1, 1), np.float32)}) if has_exam else None
    return bomb.publish(folder / "repository", "hungry", folder, golden=golden)


@in_loop
async def test_a_sound_model_passes_and_the_process_is_used_again(
    bundles: dict[str, Bundle],
) -> None:
    async with examiner() as exams:
        report = await exams.examine(bundles["double"])
        assert report.exam_difference == 0.0
        pids = exams.pids()
        await asyncio.gather(exams.examine(bundles["gather"]), exams.examine(bundles["double"]))
        assert exams.pids() == pids


@in_loop
async def test_a_wrong_answer_is_told_as_such(tmp_path: Path) -> None:
    wrong = Golden({"x": np.ones((1, 4), np.float32)}, {"y": np.ones((1, 4), np.float32)})
    bundle = graphs.doubler().publish(tmp_path / "repository", "wrong", tmp_path, golden=wrong)
    async with examiner() as exams:
        with pytest.raises(ExamFailed, match="wrong/1"):
            await exams.examine(bundle)


@in_loop
async def test_an_exam_that_never_ends_is_cut_off(
    tmp_path: Path, bundles: dict[str, Bundle]
) -> None:
    async with examiner(timeout_s=2.5) as exams:
        with pytest.raises(LoadTimeout, match=r"endless/1 did not load within 2\.5 s"):
            await exams.examine(endless(tmp_path))
        assert not exams.pids()
        await exams.examine(bundles["double"])


@in_loop
async def test_another_model_does_not_wait_for_one_that_hangs(
    tmp_path: Path, bundles: dict[str, Bundle]
) -> None:
    async with examiner() as exams:
        await exams.examine(bundles["double"])
        hanging = asyncio.create_task(exams.examine(endless(tmp_path)))
        await exams.examine(bundles["double"])
        assert not hanging.done()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging


@in_loop
async def test_a_small_graph_with_a_huge_appetite_is_refused(tmp_path: Path) -> None:
    async with examiner(memory_bytes=256 << 20) as exams:
        with pytest.raises(LoadOutOfMemory, match="hungry/1 wants more memory"):
            await exams.examine(hungry(tmp_path, gigabytes=3))
        assert exams.pids(), "the process survived it"


@in_loop
@pytest.mark.parametrize(
    ("number", "verdict"),
    [
        (signal.SIGSEGV, LoadCrashed),
        (signal.SIGABRT, LoadCrashed),
        (signal.SIGKILL, LoadOutOfMemory),
        (signal.SIGXCPU, LoadTimeout),
    ],
)
async def test_an_end_by_a_signal_is_a_verdict_too(
    number: signal.Signals, verdict: type[Exception], tmp_path: Path
) -> None:
    async with examiner() as exams:
        work = asyncio.create_task(exams.examine(endless(tmp_path)))
        await until(lambda: any(child.connection.pulse.everything() for child in exams._busy))
        [pid] = exams.pids()
        os.kill(pid, number)
        with pytest.raises(verdict, match="endless/1"):
            await work


@in_loop
async def test_a_damaged_graph_is_refused_by_name(tmp_path: Path) -> None:
    broken = graphs.doubler()
    broken.data = broken.data[: len(broken.data) // 2]
    broken.sample = None
    bundle = broken.publish(tmp_path / "repository", "broken", tmp_path)
    async with examiner() as exams:
        with pytest.raises(GraphRefused, match="broken/1"):
            await exams.examine(bundle)


@in_loop
async def test_a_model_without_an_exam_is_tried_on_zeros(tmp_path: Path) -> None:
    async with examiner(memory_bytes=256 << 20) as exams:
        with pytest.raises(LoadOutOfMemory, match="hungry/1"):
            await exams.examine(hungry(tmp_path, gigabytes=3, has_exam=False))
        sound = graphs.doubler()
        sound.sample = None
        report = await exams.examine(sound.publish(tmp_path / "repository", "sound", tmp_path))
        assert report.exam_difference is None


@in_loop
@pytest.mark.slow
async def test_loading_and_unloading_leaves_no_memory_behind(tmp_path: Path) -> None:
    made = graphs.mlp(512, 1024, 1024, 10)
    bundle = made.publish(tmp_path / "repository", "m", tmp_path)
    pool = ProcessPool(1, HostOptions())
    await pool.start()
    try:
        worker, sizes = psutil.Process(pool.pids()[0]), []
        for _ in range(200):
            await pool.load(bundle)
            await pool.unload(ModelKey("m", 1))
            sizes.append(worker.memory_info().rss)
    finally:
        await pool.close()
    assert statistics.median(sizes[150:]) <= 1.05 * statistics.median(sizes[:20])
