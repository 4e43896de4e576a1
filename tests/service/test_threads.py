"""Threads of all workers stay within the cores."""

import pytest

from service.threads import ThreadPlan, plan


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [
        (0.5, 0, (1, 1, 1)),
        (2.0, 0, (2, 1, 2)),
        (2.0, 1, (1, 2, 2)),
        (16.0, 0, (4, 4, 16)),
        (2.0, 8, (8, 1, 2)),
        (7.9, 2, (2, 3, 7)),
    ],
)
def test_the_sum_of_threads_stays_within_the_cores(
    cores: float, workers: int, expected: tuple[int, int, int]
) -> None:
    assert plan(cores, workers) == expected


@pytest.mark.parametrize(
    ("shape", "text_models", "busy", "beyond"),
    [
        (ThreadPlan(2, 1, 2), 0, 2, 0),
        (ThreadPlan(2, 1, 2), 1, 3, 1),
        (ThreadPlan(1, 1, 2), 1, 2, 0),
        (ThreadPlan(1, 2, 2), 2, 6, 4),
        (ThreadPlan(3, 2, 7), 0, 7, 0),
        (ThreadPlan(8, 1, 2), 1, 9, 1),
    ],
)
def test_text_models_alone_take_the_sum_beyond_the_cores(
    shape: ThreadPlan, text_models: int, busy: int, beyond: int
) -> None:
    """A wide session takes the place of the narrow ones: it adds nothing."""
    assert (shape.busy(text_models), shape.beyond(text_models)) == (busy, beyond)
