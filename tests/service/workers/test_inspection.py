"""Workers that stand still are found out and ended; the faults are real ones."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import RunTooLong
from models.runtimes.base import LoadTimeout
from service.errors import WorkerLost
from service.workers import inspection
from service.workers.base import ModelKey
from service.workers.inspection import Inspection
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from service.workers.pulse import BATCH_LANE, LOAD_LANE, Pulse
from tests.service.loops import in_loop, until

X = np.arange(8, dtype=np.float32).reshape(2, 4)


class Watched:
    """A child as far as it is looked at."""

    started = 0.0

    def __init__(self) -> None:
        self.connection = self
        self.pulse = Pulse.create()
        self.pulse.beat()


@pytest.fixture
def child() -> Watched:
    return Watched()


def at(seconds: float, child: Watched, limit_s: float = 60.0, load_s: float = 90.0) -> object:
    """The second of two verdicts, so many seconds after what the child is doing began."""
    [began] = [doing.began for doing in child.pulse.everything()] or [0.0]
    looking = Inspection(limit_s, load_s, lambda: began + seconds)
    assert looking.verdict(child) is None
    return looking.verdict(child)


def test_a_run_is_ended_two_seconds_after_it_was_asked_to_stop(child: Watched) -> None:
    child.pulse.begin(BATCH_LANE, handle=1)
    assert at(61.9, child) is None
    assert isinstance(at(62.1, child), RunTooLong)


def test_a_load_has_its_own_limit(child: Watched) -> None:
    child.pulse.begin(LOAD_LANE, handle=1)
    assert at(89.0, child) is None
    assert isinstance(at(90.1, child), LoadTimeout)


def test_a_generation_step_is_watched_like_a_run(child: Watched) -> None:
    lane = child.pulse.take_lane()
    assert lane is not None
    child.pulse.begin(lane, handle=1)
    assert isinstance(at(62.1, child), RunTooLong)


def test_a_clock_that_jumps_over_the_limit_condemns_nothing_that_then_ends(child: Watched) -> None:
    """A machine that was suspended in the middle of a run: it ends as soon as the machine goes on."""
    child.pulse.begin(BATCH_LANE, handle=1, ident=1)
    [first] = child.pulse.everything()
    looking = Inspection(60.0, 90.0, lambda: first.began + 3600.0)
    assert looking.verdict(child) is None
    child.pulse.end(BATCH_LANE)
    child.pulse.begin(BATCH_LANE, handle=1, ident=2)
    assert looking.verdict(child) is None


def test_what_has_ended_is_not_held_against_it(child: Watched) -> None:
    child.pulse.begin(BATCH_LANE, handle=1)
    child.pulse.end(BATCH_LANE)
    assert at(1e6, child) is None


def test_a_worker_that_does_not_beat_is_ended_after_twenty_looks(child: Watched) -> None:
    looking = Inspection(60.0, 60.0)
    for _ in range(50):
        child.pulse.beat()
        assert looking.verdict(child) is None
    verdicts = [looking.verdict(child) for _ in range(21)]
    assert verdicts[:-1] == [None] * 20
    assert isinstance(verdicts[-1], WorkerLost)


def test_a_worker_that_never_came_up_is_ended_after_a_minute() -> None:
    child = Watched()
    child.pulse = Pulse.create()
    assert Inspection(60.0, 60.0, lambda: 59.0).verdict(child) is None
    assert isinstance(Inspection(60.0, 60.0, lambda: 61.0).verdict(child), WorkerLost)


# -- with real processes -------------------------------------------------------------------------------


@asynccontextmanager
async def serving(*bundles: Bundle, **more: float) -> AsyncIterator[tuple[ProcessPool, list[str]]]:
    reasons: list[str] = []
    pool = ProcessPool(1, HostOptions(), on_restart=reasons.append, **more)
    await pool.start()
    try:
        await asyncio.gather(*map(pool.load, bundles))
        yield pool, reasons
    finally:
        await pool.close()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same looks, more often."""
    monkeypatch.setattr("service.workers.supervisor.LOOK_S", 0.02)


@in_loop
async def test_a_stopped_worker_is_killed_and_its_caller_told(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_SILENT_LOOKS", 60)  # × 0.02 s: five beats
    async with serving(bundles["slow"], bundles["double"]) as (pool, reasons):
        run = asyncio.create_task(pool.run(ModelKey("slow", 1), {"x": X[:1, :2]}))
        child = pool._supervisor.children[0]
        await until(lambda: child.connection.pulse.doing(BATCH_LANE) is not None)
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(WorkerLost, match="stood still"):
            await run
        result = await pool.run(ModelKey("double", 1), {"x": X})
        assert (result.outputs["y"] == 2 * X).all()
        assert reasons == ["hung"]


@in_loop
async def test_a_kernel_that_does_not_listen_is_killed(
    heavy: Bundle, bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_MERCY_S", 0.1)
    # Long enough for all that comes before the kernel, where a run does listen.
    async with serving(heavy, bundles["double"], hang_timeout_s=1.0) as (pool, reasons):
        with pytest.raises(RunTooLong, match="its worker was ended"):
            await pool.run(ModelKey("heavy", 1), {"x": np.ones((1, 1), np.float32)})
        result = await pool.run(ModelKey("double", 1), {"x": X})
        assert (result.outputs["y"] == 2 * X).all()
        assert reasons == ["hung"]
