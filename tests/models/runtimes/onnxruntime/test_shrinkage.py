"""Memory that only a large batch needed is given back, and rarely."""

import pytest

from models.runtimes.onnxruntime.shrinkage import Shrinkage

MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shrinkage(clock: Clock) -> Shrinkage:
    return Shrinkage(clock)


def test_a_large_batch_is_forgiven_for_a_while(shrinkage: Shrinkage, clock: Clock) -> None:
    assert not shrinkage.is_due(64 * MIB)
    for _ in range(5):
        clock.now += 5
        assert not shrinkage.is_due(2 * MIB)
    clock.now += 5
    assert shrinkage.is_due(2 * MIB)
    clock.now += 300
    assert not shrinkage.is_due(2 * MIB), "once"


def test_the_first_run_after_an_idle_while_gives_back(shrinkage: Shrinkage, clock: Clock) -> None:
    assert not shrinkage.is_due(64 * MIB)
    clock.now += 3600
    assert shrinkage.is_due(MIB)


def test_equal_batches_never_shrink(shrinkage: Shrinkage, clock: Clock) -> None:
    for _ in range(20):
        clock.now += 60
        assert not shrinkage.is_due(8 * MIB)


def test_what_would_soon_be_taken_again_stays(shrinkage: Shrinkage, clock: Clock) -> None:
    """Half as large is not much smaller; nor does one small run after another prove anything."""
    shrinkage.is_due(64 * MIB)
    clock.now += 20
    shrinkage.is_due(40 * MIB)
    clock.now += 20
    assert not shrinkage.is_due(MIB)


def test_small_models_are_left_alone(shrinkage: Shrinkage, clock: Clock) -> None:
    shrinkage.is_due(MIB - 1)
    clock.now += 60
    assert not shrinkage.is_due(10)


def test_want_of_memory_does_not_wait(shrinkage: Shrinkage) -> None:
    shrinkage.is_due(64 * MIB)
    shrinkage.ran_out()
    assert shrinkage.is_due(32 * MIB)
    assert not shrinkage.is_due(32 * MIB)


def test_a_session_without_an_arena_is_not_asked_again(shrinkage: Shrinkage) -> None:
    shrinkage.give_up()
    shrinkage.ran_out()
    assert not shrinkage.is_due(64 * MIB)
