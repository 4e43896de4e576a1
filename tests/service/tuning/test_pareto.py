import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tuning.pareto import dominates, front

POINTS = st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=12)


def test_what_is_nowhere_worse_and_somewhere_better_dominates() -> None:
    assert dominates((2, 1), (1, 1))
    assert not dominates((2, 0), (1, 1))
    assert not dominates((1, 1), (1, 1))


def test_outcomes_of_different_length_are_a_defect() -> None:
    with pytest.raises(ValueError, match="zip"):
        dominates((1,), (1, 2))


def test_the_front_keeps_order_and_equals() -> None:
    assert front([(1, 3), (2, 2), (1, 2), (3, 1), (1, 3)]) == [0, 1, 3, 4]


def test_the_front_of_nothing_is_empty() -> None:
    assert front([]) == []


@given(POINTS)
def test_everything_off_the_front_is_beaten_by_something_on_it(
    points: list[tuple[int, ...]],
) -> None:
    kept = front(points)
    assert bool(kept) == bool(points)
    for index, point in enumerate(points):
        beaten = any(dominates(points[other], point) for other in kept)
        assert beaten == (index not in kept)
