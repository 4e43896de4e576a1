"""Rounds alternate, survive failures and interruptions, and end in time."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from benchmarks.harness.failures import Interrupted, MeasurementFailed
from benchmarks.harness.progress import Progress
from benchmarks.harness.rounds import Clock, Rounds, alternate


def _run(things: dict[str, Callable[[], float]], rounds: int, clock: Clock) -> Rounds[float]:
    with Progress(1, Console(file=io.StringIO())) as progress:
        progress.scenario("test")
        return alternate(things, rounds, clock, progress)


def test_every_other_round_runs_backwards() -> None:
    order: list[str] = []

    def thing(name: str) -> Callable[[], float]:
        def measure() -> float:
            order.append(name)
            return float(len(order))

        return measure

    found = _run({"a": thing("a"), "b": thing("b")}, 3, Clock(60))
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found.of("a", lambda sample: sample) == [1, 4, 5]


def test_what_fails_once_has_no_figure_and_costs_the_others_nothing() -> None:
    calls = 0

    def flaky() -> float:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise MeasurementFailed("it broke")
        return 1.0

    found = _run({"flaky": flaky, "steady": lambda: 2.0}, 4, Clock(60))
    assert found.samples == {"flaky": [], "steady": [2.0] * 4}
    assert found.failures == {"flaky": "it broke"}
    assert calls == 2


def test_an_interruption_keeps_what_was_measured_and_ends_the_run() -> None:
    answers = iter([1.0, 2.0, None])

    def thing() -> float:
        answer = next(answers)
        if answer is None:
            raise KeyboardInterrupt
        return answer

    clock = Clock(60)
    found = _run({"thing": thing}, 5, clock)
    assert found.samples == {"thing": [1.0, 2.0]}
    with pytest.raises(Interrupted, match="interrupted"):
        clock.check()


def test_no_measurement_begins_after_the_limit() -> None:
    now = 0.0

    def thing() -> float:
        nonlocal now
        now += 4
        return now

    clock = Clock(10, now=lambda: now)
    assert _run({"thing": thing}, 9, clock).samples == {"thing": [4, 8, 12]}
    assert "limit of 10 s" in clock.why
