"""What a variant may cost."""

import pytest

from models.manifest import Evaluation
from training.optimizing.budget import Budget


def row(value: float, *, higher: bool = True) -> tuple[Evaluation, ...]:
    return (
        Evaluation(
            dataset="d", split="s", metric="m", value=value, higher_is_better=higher, samples=1
        ),
    )


@pytest.mark.parametrize(
    ("before", "after", "higher", "reason"),
    [
        (0.98, 0.975, True, ""),
        (0.98, 0.9749, True, "loses 0.0051 of m, more than 0.005"),
        (0.98, 0.99, True, ""),
        (30.0, 29.71, True, ""),
        (30.0, 29.69, True, "loses 1.03% of m, more than 1.00%"),
        (2.0, 2.02, False, ""),
        (2.0, 2.021, False, "loses 1.05% of m, more than 1.00%"),
        (0.5, 0.506, False, "loses 1.20% of m, more than 1.00%"),
        (0.0, 0.001, False, "loses 100.00% of m, more than 1.00%"),
        (0.0, 0.0, False, ""),
    ],
)
def test_shares_lose_points_and_other_metrics_a_part_of_themselves(
    before: float, after: float, higher: bool, reason: str
) -> None:
    assert Budget().objection(row(before, higher=higher), row(after, higher=higher)) == reason


def test_one_item_of_two_hundred_is_half_a_point_and_allowed() -> None:
    assert Budget().objection(row(1.0), row(199 / 200)) == ""


def test_nothing_evaluated_is_nothing_objected() -> None:
    assert Budget().objection((), ()) == ""


@pytest.mark.parametrize(("cosine", "is_over"), [(0.9991, False), (0.9989, True), (None, False)])
def test_vectors_keep_their_direction(cosine: float | None, is_over: bool) -> None:
    assert bool(Budget().objection_to_cosine(cosine)) == is_over
