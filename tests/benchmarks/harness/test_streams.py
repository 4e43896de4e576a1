"""Streams followed token by token: figures by hand, and a server of a few lines."""

import itertools
from types import SimpleNamespace
from typing import cast

import pytest

from benchmarks.harness.failures import MeasurementFailed
from benchmarks.harness.processes import CpuTimes, Server
from benchmarks.harness.streams import (
    Ask,
    Prompts,
    ask_together,
    longest_pause_ms,
    step_ms,
    write,
)
from service.bench.exchange import Exchange
from service.bench.loops import Timing
from tests.service.bench.fake_server import FakeServer, running


def _stream(*moments: float) -> Exchange:
    return Exchange(0.0, 0.0, moments[-1], 200, "", list(moments))


def _server(fake: FakeServer) -> Server:
    """As much of one as the load needs; its processor time stands still."""
    seen = SimpleNamespace(port=fake.port, cpu=lambda: CpuTimes(1.0, 1.0))
    return cast(Server, seen)


def test_a_step_is_the_mean_gap_while_all_ran() -> None:
    streams = [_stream(0.0, 1.0, 2.0, 3.0, 4.0), _stream(1.5, 2.5, 3.5, 4.5)]
    assert step_ms(streams) == pytest.approx(1000)
    bunched = [_stream(0.0, 2.0, 2.0, 4.0, 4.0), _stream(0.0, 1.0, 2.0, 3.0, 4.0)]
    assert step_ms(bunched) == pytest.approx(1000)


def test_a_step_may_be_taken_before_something_happens() -> None:
    streams = [_stream(0.0, 1.0, 2.0, 7.0), _stream(0.0, 1.0, 2.0, 7.0)]
    assert step_ms(streams, until=2.0) == pytest.approx(1000)


def test_streams_that_never_met_have_no_step() -> None:
    with pytest.raises(MeasurementFailed, match="together"):
        step_ms([_stream(0.0, 1.0), _stream(2.0, 3.0)])


def test_the_longest_pause_counts_when_it_overlaps() -> None:
    streams = [_stream(0.0, 1.0, 5.0, 6.0), _stream(0.0, 9.0)]
    assert longest_pause_ms(streams[:1], 2.0, 3.0) == pytest.approx(4000)
    assert longest_pause_ms(streams, 2.0, 3.0) == pytest.approx(9000)
    with pytest.raises(MeasurementFailed, match="ended"):
        longest_pause_ms(streams[:1], 7.0, 8.0)


def test_requests_have_exact_lengths_and_are_all_followed() -> None:
    with running(FakeServer()) as fake:
        asks = [Ask([1, 2, 3], 7), Ask([4], 8, after=2)]
        done = ask_together(_server(fake), "m", asks)
    assert [each.output_tokens for each in done] == [3, 3]
    assert [body["prompt"] for body in fake.asked] == [[1, 2, 3], [4]]
    assert [body["max_tokens"] for body in fake.asked] == [7, 8]
    assert done[1].sent_s >= done[0].token_s[1]


def test_callers_are_kept_busy_and_counted() -> None:
    with running(FakeServer()) as fake:
        asks = (Ask([1], 3) for _ in itertools.count())
        found = write(_server(fake), "m", 2, asks, Timing(0.2))
    assert found.rate > 0
    assert found.main_us == 0.0


def test_refusals_are_no_figures() -> None:
    with running(FakeServer(status=503)) as fake:
        asks = (Ask([1], 3) for _ in itertools.count())
        with pytest.raises(MeasurementFailed, match="503 queue_full"):
            write(_server(fake), "m", 1, asks, Timing(0.1))
        with pytest.raises(MeasurementFailed, match="503 queue_full"):
            ask_together(_server(fake), "m", [Ask([1], 3)])


def test_prompts_and_lengths_are_the_same_for_the_same_seed() -> None:
    one, same = Prompts(50, 1), Prompts(50, 1)
    ids = one.ids(200)
    assert ids == same.ids(200)
    assert set(ids) <= set(range(50))
    assert one.ids(200) != ids
    lengths = one.lengths((2, 3), (5, 6), 50)
    assert {prompt for prompt, _ in lengths} == {2, 3}
    assert {answer for _, answer in lengths} == {5, 6}
