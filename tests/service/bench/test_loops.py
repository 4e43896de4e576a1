"""Both loops against a server of a few lines: who is asked when, and what becomes of refusals."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest

from service.bench.answers import StreamReader
from service.bench.loops import Measured, Timing, Work, arrivals, closed_loop, open_loop
from service.bench.target import Target
from tests.service.bench.fake_server import FakeServer, running

_SHORT = Timing(0.2, 0.0, rest_s=5.0)


def _work(fake: FakeServer) -> Work:
    target = Target("127.0.0.1", fake.port)
    return Work(target, itertools.repeat(target.post("/v1/x", b'{"stream": true}')), StreamReader)


def _ignored(_: Measured) -> None:
    pass


def _run(fake: FakeServer, loop: Callable[[Work, asyncio.Event], Awaitable[Measured]]) -> Measured:
    async def run() -> Measured:
        return await loop(_work(fake), asyncio.Event())

    with running(fake):
        return asyncio.run(run())


def test_a_closed_loop_keeps_so_many_callers_busy() -> None:
    fake = FakeServer()
    found = _run(fake, lambda work, stop: closed_loop(work, 3, _SHORT, stop, _ignored))
    good = [each for each in found.exchanges if each.is_good]
    assert len(good) > 3
    assert fake.most_lines == 3
    assert all(len(each.token_s) == 3 and each.output_tokens == 3 for each in good)
    assert sum(not each.is_ended for each in found.exchanges) <= 3
    assert all(each.sent_s <= each.token_s[0] <= each.ended_s for each in good)


def test_a_refusing_server_is_not_asked_as_fast_as_it_refuses() -> None:
    fake = FakeServer(status=503)
    found = _run(fake, lambda work, stop: closed_loop(work, 2, _SHORT, stop, _ignored))
    errors = {each.error for each in found.exchanges if each.is_ended}
    assert errors == {"503 queue_full"}
    assert len(found.exchanges) <= 2 * (0.2 / 0.05 + 2)


def test_callers_whose_connection_ends_call_again() -> None:
    fake = FakeServer(closes=True)
    found = _run(fake, lambda work, stop: closed_loop(work, 2, Timing(0.4), stop, _ignored))
    assert sum(each.is_good for each in found.exchanges) > 2


def test_an_open_loop_sends_when_it_was_meant_to() -> None:
    fake = FakeServer()
    found = _run(fake, lambda work, stop: open_loop(work, 100, _SHORT, stop, _ignored, seed=1))
    meant = [each.intended_s - found.start_s for each in found.exchanges]
    assert meant == pytest.approx(arrivals(100, 0.2, 1))
    assert all(each.is_good for each in found.exchanges)
    assert all(each.sent_s >= each.intended_s for each in found.exchanges)


def test_an_open_loop_gives_up_on_answers_that_do_not_come() -> None:
    fake = FakeServer(is_silent=True)
    timing = Timing(0.1, 0.0, rest_s=0.1)
    found = _run(fake, lambda work, stop: open_loop(work, 50, timing, stop, _ignored))
    assert found.exchanges
    assert not any(each.is_ended for each in found.exchanges)
    assert fake.most_lines > 1  # nobody waited for another's answer


@pytest.mark.parametrize("is_open", [False, True])
def test_a_stop_ends_the_window_at_once(is_open: bool) -> None:
    def stopped(work: Work, stop: asyncio.Event) -> Awaitable[Measured]:
        def stop_it(_: Measured) -> None:
            stop.set()

        if is_open:
            return open_loop(work, 100, Timing(60.0), stop, stop_it)
        return closed_loop(work, 1, Timing(60.0), stop, stop_it)

    began = time.perf_counter()
    found = _run(FakeServer(), stopped)
    assert time.perf_counter() - began < 30
    assert found.end_s - found.start_s < 30


def test_nobody_there_is_an_error_at_once() -> None:
    with running(FakeServer()) as gone:
        pass
    target = Target("127.0.0.1", gone.port)
    work = Work(target, itertools.repeat(b""), StreamReader)

    async def run() -> None:
        await closed_loop(work, 1, _SHORT, asyncio.Event(), _ignored)

    with pytest.raises(ConnectionRefusedError):
        asyncio.run(run())


def test_arrivals_are_a_poisson_process() -> None:
    moments = arrivals(50.0, 200.0, seed=3)
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert len(moments) == pytest.approx(10_000, rel=0.05)
    assert statistics.mean(gaps) == pytest.approx(0.02, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(0.02, rel=0.1)  # exponential: as wide as long
    assert moments == arrivals(50.0, 200.0, seed=3) != arrivals(50.0, 200.0, seed=4)
