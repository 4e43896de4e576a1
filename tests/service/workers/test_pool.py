"""What both kinds of pool promise, and what only killable workers can."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import ExamFailed, InputRefused, RunTooLong
from models.golden import Golden
from models.runtimes.base import LoadTimeout
from service.errors import NotReady, WorkerLost
from service.turns import NICER
from service.workers.base import ModelKey
from service.workers.crashes import CrashLedger
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from tests.service import graphs
from tests.service.loops import in_loop, until
from tests.service.workers.conftest import MakePool

X = np.arange(8, dtype=np.float32).reshape(2, 4)


def key(bundle: Bundle) -> ModelKey:
    return ModelKey(bundle.name, bundle.version)


@in_loop
async def test_a_loaded_model_runs_and_reports_its_exam(
    make_pool: MakePool, bundles: dict[str, Bundle]
) -> None:
    async with make_pool(2) as pool:
        report = await pool.load(bundles["double"])
        assert report.exam_difference == 0.0
        assert report.provider == "CPUExecutionProvider"
        result = await pool.run(key(bundles["double"]), {"x": X})
        assert (result.outputs["y"] == 2 * X).all()
        assert result.infer_s > 0


@in_loop
async def test_many_batches_at_once_get_their_own_answers(
    make_pool: MakePool, bundles: dict[str, Bundle]
) -> None:
    async with make_pool(2) as pool:
        await asyncio.gather(pool.load(bundles["double"]), pool.load(bundles["gather"]))
        inputs = [np.full((3, 4), value, np.float32) for value in range(40)]
        results = await asyncio.gather(
            *(pool.run(key(bundles["double"]), {"x": x}) for x in inputs),
            pool.run(key(bundles["gather"]), {"id": np.array([2])}),
        )
        for x, result in zip(inputs, results[:-1], strict=True):
            assert (result.outputs["y"] == 2 * x).all()
        assert results[-1].outputs["y"].tolist() == [[2.0, 2.0]]


@in_loop
async def test_a_large_batch_grows_the_shared_memory(
    make_pool: MakePool, bundles: dict[str, Bundle]
) -> None:
    async with make_pool() as pool:
        await pool.load(bundles["double"])
        large = np.random.default_rng(0).standard_normal((300_000, 4)).astype(np.float32)
        result = await pool.run(key(bundles["double"]), {"x": large})
        assert (result.outputs["y"] == 2 * large).all()


@in_loop
async def test_a_tensor_may_begin_at_any_byte(
    make_pool: MakePool, bundles: dict[str, Bundle]
) -> None:
    async with make_pool() as pool:
        await pool.load(bundles["double"])
        unaligned = np.frombuffer(b"x" + X.tobytes(), np.float32, X.size, 1).reshape(X.shape)
        assert not unaligned.flags.aligned
        result = await pool.run(key(bundles["double"]), {"x": unaligned})
        assert (result.outputs["y"] == 2 * X).all()


@in_loop
async def test_a_refused_value_comes_back_as_the_callers_mistake(
    make_pool: MakePool, bundles: dict[str, Bundle]
) -> None:
    async with make_pool() as pool:
        await pool.load(bundles["gather"])
        with pytest.raises(InputRefused, match="out of data bounds"):
            await pool.run(key(bundles["gather"]), {"id": np.array([99])})
        result = await pool.run(key(bundles["gather"]), {"id": np.array([1])})
        assert result.outputs["y"].tolist() == [[1.0, 1.0]]


@in_loop
async def test_a_model_that_fails_its_exam_is_not_loaded(
    make_pool: MakePool, tmp_path: Path
) -> None:
    wrong = Golden({"x": X}, {"y": X})
    bundle = graphs.doubler().publish(tmp_path / "repository", "wrong", tmp_path, golden=wrong)
    async with make_pool() as pool:
        with pytest.raises(ExamFailed, match="wrong/1"):
            await pool.load(bundle)
        with pytest.raises(NotReady):
            await pool.run(key(bundle), {"x": X})


@in_loop
async def test_an_unloaded_model_is_not_run(
    make_pool: MakePool, bundles: dict[str, Bundle]
) -> None:
    async with make_pool() as pool:
        await pool.load(bundles["double"])
        await pool.unload(key(bundles["double"]))
        with pytest.raises(NotReady):
            await pool.run(key(bundles["double"]), {"x": X})


# -- what only processes can -------------------------------------------------------------------------


@asynccontextmanager
async def process_pool(workers: int = 1, **more: object) -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(workers, HostOptions(), **more)  # type: ignore[arg-type]
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


@in_loop
async def test_workers_give_way_to_the_event_loop(bundles: dict[str, Bundle]) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    async with process_pool() as pool:
        await pool.load(bundles["double"])
        [pid] = pool.pids()
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, own + NICER)


@in_loop
async def test_a_killed_worker_loses_what_it_held_and_is_back_within_two_seconds(
    bundles: dict[str, Bundle],
) -> None:
    reasons: list[str] = []
    async with process_pool(on_restart=reasons.append) as pool:
        await asyncio.gather(pool.load(bundles["slow"]), pool.load(bundles["double"]))
        held = asyncio.create_task(pool.run(key(bundles["slow"]), {"x": X[:1, :2]}))
        [pid] = pool.pids()
        await until(lambda: bool(pool._supervisor.children[0].connection._runs))
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost):
            await held
        result = await pool.run(key(bundles["double"]), {"x": X})  # waits for the new worker
        assert (result.outputs["y"] == 2 * X).all()
        assert time.monotonic() - killed_at < 2.0 + _noise_s()
        assert pool.pids() != [pid]
    assert reasons == ["lost"]


@in_loop
async def test_the_other_worker_serves_on_while_one_is_replaced(
    bundles: dict[str, Bundle],
) -> None:
    async with process_pool(2) as pool:
        await pool.load(bundles["double"])
        os.kill(pool.pids()[0], signal.SIGKILL)
        for _ in range(20):
            try:
                await pool.run(key(bundles["double"]), {"x": X})
            except WorkerLost:
                continue  # at most what the dead one was given before its end was noticed
        assert pool.is_healthy
        await until(lambda: len(pool.pids()) == 2)


@in_loop
async def test_a_run_that_takes_too_long_is_stopped_without_losing_the_worker(
    bundles: dict[str, Bundle],
) -> None:
    reasons: list[str] = []
    async with process_pool(hang_timeout_s=0.2, on_restart=reasons.append) as pool:
        await asyncio.gather(pool.load(bundles["endless"]), pool.load(bundles["double"]))
        for _ in range(2):
            with pytest.raises(RunTooLong):
                await pool.run(key(bundles["endless"]), {"x": X[:1, :2]})
        await pool.run(key(bundles["double"]), {"x": X})
    assert reasons == []


@in_loop
async def test_a_worker_that_talks_nonsense_is_replaced(bundles: dict[str, Bundle]) -> None:
    async with process_pool() as pool:
        await pool.load(bundles["double"])
        child = pool._supervisor.children[0]
        assert child is not None
        child.connection._on_message(child_message(ident=999))
        result = await pool.run(key(bundles["double"]), {"x": X})
        assert (result.outputs["y"] == 2 * X).all()
        assert pool._supervisor.children[0] is not child


def child_message(ident: int) -> object:
    from service.workers.channel import Message, Op

    return Message(Op.RESULT, 0, 1, ident, memoryview(b""))


@in_loop
async def test_a_worker_ends_with_its_server(bundles: dict[str, Bundle]) -> None:
    async with process_pool() as pool:
        await pool.load(bundles["double"])
        child = pool._supervisor.children[0]
        assert child is not None
    assert child.process.returncode == 0


@in_loop
async def test_a_load_that_takes_too_long_is_given_up(
    tmp_path: Path, bundles: dict[str, Bundle]
) -> None:
    golden = Golden({"x": X[:1, :2]}, {"y": X[:1, :2]})
    hangs = graphs.slow(2**62).publish(tmp_path / "repository", "hangs", tmp_path, golden=golden)
    async with process_pool(load_timeout_s=1.0) as pool:
        await pool.load(bundles["double"])
        loading = asyncio.create_task(pool.load(hangs))
        await pool.run(key(bundles["double"]), {"x": X})  # is not held up by it
        with pytest.raises(LoadTimeout, match=r"hangs/1 did not load within 1 s"):
            await loading
        await pool.run(key(bundles["double"]), {"x": X})


@in_loop
async def test_cancelled_runs_that_wait_for_a_worker_are_not_sent(
    bundles: dict[str, Bundle],
) -> None:
    async with process_pool() as pool:
        await asyncio.gather(pool.load(bundles["slow"]), pool.load(bundles["double"]))
        busy = [
            asyncio.create_task(pool.run(key(bundles["slow"]), {"x": X[:1, :2]})) for _ in range(2)
        ]
        waiting = asyncio.create_task(pool.run(key(bundles["double"]), {"x": X}))
        await until(lambda: pool._dispatcher.waiting == 1)
        waiting.cancel()
        await asyncio.gather(*busy)
        assert not pool._dispatcher.waiting


def test_three_crashes_within_a_minute_refuse_a_model() -> None:
    now = [0.0]
    ledger = CrashLedger(lambda: now[0])
    for at in (0.0, 70.0, 80.0):
        now[0] = at
        ledger.record(1)
    assert not ledger.is_refused(1)
    now[0] = 90.0
    ledger.record(1)
    assert ledger.is_refused(1)
    assert not ledger.is_refused(2)


def _noise_s() -> float:
    """Room for a machine that does other things at the same time."""
    return max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1.0) * 2.0
