"""The autoscaler's arithmetic, and its bounds whatever it is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.autoscaler import Autoscaler, Scaling


def test_it_asks_for_as_many_as_the_load_has_targets() -> None:
    assert Autoscaler(Scaling(target_in_flight=4)).decide(0, 2, 2, 15.0) == 4


def test_within_a_tenth_nothing_happens() -> None:
    scaler = Autoscaler(Scaling(target_in_flight=10))
    assert scaler.decide(0, 4, 4, 43.9) == 4
    assert scaler.decide(15, 4, 4, 44.1) == 5


def test_up_doubles_at_most_and_two_at_least_within_a_period() -> None:
    scaler = Autoscaler(Scaling(most=100, target_in_flight=1))
    assert scaler.decide(0, 2, 2, 90) == 4
    assert scaler.decide(5, 4, 2, 90) == 4, "this period's share is used up"
    assert scaler.decide(15, 4, 4, 90) == 8
    assert Autoscaler(Scaling(least=1, most=9, target_in_flight=1)).decide(0, 1, 1, 90) == 3


def test_down_waits_for_the_window_and_then_goes_one_by_one() -> None:
    scaler, current, seen = Autoscaler(Scaling(most=20, target_in_flight=1)), 10, []
    for look in range(40):
        in_flight = 10.0 if look == 0 else 2.0
        current = scaler.decide(look * 15.0, current, current, in_flight)
        seen.append(current)
    assert seen[:20] == [10] * 20, "five minutes"
    assert seen[20] == 9
    assert [seen.count(pods) for pods in (9, 8, 7, 6)] == [4, 4, 4, 4], "one a minute"


def test_the_longest_wait_decides_too() -> None:
    scaling = Scaling(target_in_flight=100, queue_wait_p95_s=0.05)
    assert Autoscaler(scaling).decide(0, 2, 2, 10, 0.1) == 4
    assert Autoscaler(scaling).decide(0, 2, 2, 10, 0.0) == 2


def test_impossible_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="bounds"):
        Scaling(least=5, most=4)
    with pytest.raises(ValueError, match="target"):
        Scaling(target_in_flight=0)


@given(
    least=st.integers(1, 10),
    room=st.integers(0, 40),
    target=st.floats(0.1, 100),
    looks=st.lists(st.tuples(st.floats(0, 120), st.floats(0, 1e6), st.floats(0, 100)), max_size=40),
)
def test_it_never_leaves_its_bounds(
    least: int, room: int, target: float, looks: list[tuple[float, float, float]]
) -> None:
    scaling = Scaling(
        least=least, most=least + room, target_in_flight=target, queue_wait_p95_s=0.05
    )
    scaler, current, now = Autoscaler(scaling), least, 0.0
    for pause_s, in_flight, wait_s in looks:
        now += pause_s
        current = scaler.decide(now, current, current, in_flight, wait_s)
        assert least <= current <= least + room
