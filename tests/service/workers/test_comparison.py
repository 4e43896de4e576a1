"""Candidates are timed where they can do no harm: one that is wrong, damaged or deadly is out, no more."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from models.runtimes.base import LoadCrashed, LoadTimeout
from service.selection.choice import candidates, reference
from service.selection.trial import Comparison
from service.workers.inprocess import InProcessPool
from service.workers.options import HostOptions
from tests.service import graphs
from tests.service.loops import in_loop, until
from tests.service.selection.bundles import damaged, published, quick, wrong
from tests.service.workers.conftest import MakePool
from tests.service.workers.test_examination import endless, examiner


@in_loop
async def test_the_quickest_is_seen_and_those_that_fail_are_named(
    tmp_path: Path, make_pool: MakePool
) -> None:
    variants = {"int8": quick(), "int4": wrong(), "int2": damaged()}
    bundle = published(tmp_path / "repository", "m", tmp_path, variants)
    base, *rivals = candidates(bundle.manifest, runtime="onnxruntime")
    async with make_pool() as pool:
        found = await pool.compare(bundle, base, rivals, 10.0)
    trials = {trial.choice.precision: trial for trial in found.trials}
    assert trials["int8"].gain_over(trials["fp32"]) > 2
    assert (trials["int4"].kind, trials["int2"].kind) == ("exam", "graph")
    assert list(trials["fp32"].best_ms) == ["batch 1", "batch 8"]


@in_loop
async def test_nothing_of_it_stays_in_memory_as_a_model(tmp_path: Path) -> None:
    bundle = published(tmp_path / "repository", "m", tmp_path, {"int8": quick()})
    base, *rivals = candidates(bundle.manifest, runtime="onnxruntime")
    pool = InProcessPool(1, HostOptions())
    found = await pool.compare(bundle, base, rivals, 10.0)
    assert isinstance(found, Comparison)
    assert not pool._host._batch
    await pool.close()


@in_loop
async def test_one_that_kills_the_process_costs_a_verdict(tmp_path: Path) -> None:
    bundle = endless(tmp_path)
    async with examiner() as exams:
        work = asyncio.create_task(exams.compare(bundle, reference(bundle.manifest), [], 10.0))
        await until(lambda: any(child.connection.pulse.everything() for child in exams._busy))
        [pid] = exams.pids()
        os.kill(pid, signal.SIGSEGV)
        with pytest.raises(LoadCrashed, match="endless/1"):
            await work


@in_loop
async def test_one_that_hangs_is_cut_off_and_the_process_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.workers.examination._COMPARISON_GRACE_S", 1.0)
    bundle = published(tmp_path / "repository", "m", tmp_path, {"int8": graphs.slow(2**62).data})
    base, *rivals = candidates(bundle.manifest, runtime="onnxruntime")
    async with examiner() as exams:
        with pytest.raises(LoadTimeout, match=r"m/1 did not compare within 2 s"):
            await exams.compare(bundle, base, rivals, 1.0)
        assert not exams.pids()
