"""A loop that hangs is noticed: by a metric, by the log, and by the next probe."""

import asyncio
import threading

import pytest

from service.observability.heartbeat import BEAT_S, STALE_S, Heartbeat
from service.observability.histogram import Histogram
from tests.service.loops import in_loop


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@in_loop
async def test_a_late_beat_is_measured_and_remembered_for_a_minute() -> None:
    clock, lag = Clock(), Histogram()
    heart = Heartbeat(lag, clock)
    heart.start()
    try:
        clock.now += BEAT_S + 0.75
        heart.beat()
        assert (lag.count, lag.total) == (1, pytest.approx(0.75))
        clock.now += BEAT_S
        heart.beat()
        assert heart.max_lag_s == pytest.approx(0.75)
        clock.now += 61
        assert heart.max_lag_s == 0.0
    finally:
        heart.stop()


@in_loop
async def test_a_loop_that_does_not_beat_is_stale_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    heart = Heartbeat(Histogram(), clock)
    heart.start()
    try:
        heart.check()
        assert not heart.is_stale
        clock.now += STALE_S + 1
        heart.check()
        heart.check()
        assert heart.is_stale
        assert heart.hangs == 1
        heart.beat()
        heart.check()
        assert not heart.is_stale
        clock.now += STALE_S + 1
        heart.check()
        assert heart.hangs == 2
    finally:
        heart.stop()


def test_the_log_says_where_the_loop_hangs(caplog: pytest.LogCaptureFixture) -> None:
    clock, release, started = Clock(), threading.Event(), threading.Event()
    heart = Heartbeat(Histogram(), clock)

    def hang_in_this_very_function() -> None:
        started.set()
        release.wait()

    async def run() -> None:
        heart.start()
        hang_in_this_very_function()
        heart.stop()

    loop = threading.Thread(target=lambda: asyncio.run(run()))
    loop.start()
    started.wait()
    clock.now += STALE_S + 1
    with caplog.at_level("ERROR", "slipway.heartbeat"):
        heart.check()
    release.set()
    loop.join()
    assert "hang_in_this_very_function" in caplog.text
