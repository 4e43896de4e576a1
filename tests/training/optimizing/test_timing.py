"""Speeds of what really runs, at every batch size."""

from pathlib import Path

from tests.training.optimizing.fake_subject import subject_in
from training.optimizing import timing
from training.optimizing.sessions import REFERENCE
from training.optimizing.timing import Patience, measure


def test_each_target_gets_milliseconds_and_items_for_each_batch(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    for speed in measure(subject, [REFERENCE, REFERENCE], Patience(0.05, 0.01)):
        assert set(speed.latency_ms) == set(speed.throughput) == {1, 4}
        assert all(0 < speed.least_ms[size] <= ms for size, ms in speed.latency_ms.items())
        assert all(rate > 0 for rate in speed.throughput.values())


def test_targets_take_turns_and_the_first_runs_do_not_count() -> None:
    order: list[str] = []
    times = timing._take_turns([lambda: order.append("a"), lambda: order.append("b")], 10.0)
    assert order[:4] == ["a", "b", "a", "b"]
    assert len(times[0]) == len(times[1]) == timing._ROUNDS
    assert len(order) == 2 * (timing._ROUNDS + timing._WARM_ROUNDS)


def test_slow_runs_are_few_but_never_none() -> None:
    times = timing._take_turns([lambda: None], 0.0)
    assert len(times[0]) == timing._LEAST_ROUNDS
