"""Which batch is alone, and when models are measured for a wide session."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import orjson
import pytest

from models.bundle import Bundle
from service.workers.base import LoadReport, ModelKey
from service.workers.connection import Connection, Job
from service.workers.elastic import Elastic
from service.workers.ledger import MemoryLedger, Room
from service.workers.options import HostOptions
from service.workers.pool import ProcessPool
from service.workers.tasks import Tasks
from tests.service.loops import in_loop, until

X = np.arange(8, dtype=np.float32).reshape(2, 4)
SLOW, DOUBLE = ModelKey("slow", 1), ModelKey("double", 1)


def look_often(monkeypatch: pytest.MonkeyPatch, every_s: float) -> None:
    """The ten seconds stay after which a worker that says nothing is taken for dead."""
    monkeypatch.setattr("service.workers.supervisor.LOOK_S", every_s)
    monkeypatch.setattr("service.workers.inspection._SILENT_LOOKS", round(10 / every_s))


@asynccontextmanager
async def serving(*bundles: Bundle, **more: int) -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(2, HostOptions(), **more)
    await pool.start()
    try:
        await asyncio.gather(*map(pool.load, bundles))
        yield pool
    finally:
        await pool.close()


@in_loop
async def test_a_batch_is_alone_when_no_worker_runs_another(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[bool] = []
    run = Connection.run

    def spy(connection: Connection, job: Job, *, is_alone: bool = False) -> None:
        alone.append(is_alone)
        run(connection, job, is_alone=is_alone)

    monkeypatch.setattr(Connection, "run", spy)
    async with serving(bundles["slow"], bundles["double"]) as pool:
        slow = asyncio.create_task(pool.run(SLOW, {"x": X[:1, :2]}))
        await asyncio.sleep(0)
        await pool.run(DOUBLE, {"x": X})
        await slow
        await pool.run(DOUBLE, {"x": X})
    assert alone == [True, False, True]


@in_loop
async def test_every_model_is_measured_once_nothing_is_going_on(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_often(monkeypatch, 0.02)
    async with serving(bundles["double"], bundles["gather"], wide_threads=2) as pool:
        reports = list(pool._reports.values())
        await until(lambda: all("width" in report.details for report in reports))
        assert {report.details["width"] for report in reports} == {
            "1 (a run is too short to gain by more)"
        }
        first = pool._first()
        assert first is not None
        first.kill()  # its replacement is behind the other one, which has no wide sessions
        for report in reports:
            report.details.clear()
        await until(lambda: all("width" in report.details for report in reports))


@in_loop
async def test_nothing_is_measured_where_a_worker_has_all_threads_anyway(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_often(monkeypatch, 0.01)
    async with serving(bundles["double"], wide_threads=1) as pool:
        for _ in range(20):
            await pool.run(DOUBLE, {"x": X})
        [report] = pool._reports.values()
        assert "width" not in report.details


@in_loop
async def test_a_measurement_that_was_disturbed_is_repeated_after_longer_and_longer_pauses() -> (
    None
):
    now = [0.0]
    answers = [*([{"width": "?", "is_wide": False, "is_disturbed": True}] * 3)]
    answers += [{"width": "1, or 2", "is_wide": True, "is_disturbed": False}]
    asked: list[float] = []

    class Asked:
        pid = 1
        handles = frozenset({7})

        @property
        def connection(self) -> "Asked":
            return self

        async def call(self, *_: object) -> bytes:
            asked.append(now[0])
            return orjson.dumps(answers.pop(0))

    class Model:
        key, handle = DOUBLE, 7

    report = LoadReport(0.0, None, "cpu", 1)
    tasks = Tasks()
    elastic = Elastic(
        2,
        tasks,
        models=lambda: [(Model(), report)],  # type: ignore[list-item]
        first=Asked,  # type: ignore[arg-type]
        is_calm=lambda: True,
        started=lambda: 0,
        memory=MemoryLedger(lambda: Room(1 << 40, 1 << 40)),
        clock=lambda: now[0],
    )
    for second in range(100):
        now[0] = float(second)
        for _ in range(3):
            elastic.look()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert asked == [0.0, 1.0, 3.0, 7.0]
    assert report.details["width"] == "1, or 2"
