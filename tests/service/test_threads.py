"""Threads of all workers stay within the cores."""

import pytest

from service.threads import plan


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
