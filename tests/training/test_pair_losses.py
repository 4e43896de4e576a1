import math

import pytest
import torch
from torch.nn import functional

from training.pair_losses import at_dimensions, cosent_loss, cosine_loss, ranking_loss


def test_ranking_is_cross_entropy_over_scaled_cosines() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(3, 5), torch.randn(4, 5)
    cosines = torch.stack([functional.cosine_similarity(row[None], second) for row in first])
    expected = functional.cross_entropy(cosines * 20, torch.arange(3))
    assert ranking_loss(first, second, 20.0) == pytest.approx(expected.item(), abs=1e-5)


def test_ranking_falls_when_the_right_ones_are_nearest() -> None:
    vectors = torch.eye(4)
    assert ranking_loss(vectors, vectors, 20.0) < 1e-6
    assert ranking_loss(vectors, vectors.roll(1, 0), 20.0) > 10


def test_the_same_text_in_another_row_is_no_wrong_answer() -> None:
    vectors = torch.tensor([[1.0, 0], [1.0, 0]])
    is_same = torch.ones(2, 2, dtype=torch.bool)
    assert ranking_loss(vectors, vectors, 20.0) == pytest.approx(math.log(2))
    assert ranking_loss(vectors, vectors, 20.0, is_same) == pytest.approx(0.0, abs=1e-6)


def test_more_candidates_than_rows_are_wrong_answers() -> None:
    first = torch.eye(2, 3)
    near_miss = torch.cat([first, first + 0.01])
    assert ranking_loss(first, near_miss, 20.0) > ranking_loss(first, first, 20.0) + 0.5


def test_cosent_punishes_a_wrong_order_and_not_the_values() -> None:
    first = torch.tensor([[1.0, 0], [1.0, 0]])
    second = torch.tensor([[1.0, 0], [0.0, 1]])  # cosines 1 and 0
    assert cosent_loss(first, second, torch.tensor([0.9, 0.1]), 20.0) < 1e-6
    assert cosent_loss(first, second, torch.tensor([0.1, 0.9]), 20.0) == pytest.approx(20.0)
    assert cosent_loss(first, second, torch.tensor([0.5, 0.5]), 20.0) == pytest.approx(0.0)


def test_cosine_regression_wants_the_score_itself() -> None:
    first, second = torch.tensor([[1.0, 0]]), torch.tensor([[1.0, 0]])
    assert cosine_loss(first, second, torch.tensor([1.0])) == pytest.approx(0.0)
    assert cosine_loss(first, second, torch.tensor([0.5])) == pytest.approx(0.25)


def test_each_size_counts_alike() -> None:
    first, second = torch.randn(3, 8), torch.randn(3, 8)

    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return ranking_loss(a, b, 5.0)

    alone = [loss(first[:, :size], second[:, :size]) for size in (8, 4, 2)]
    together = at_dimensions(loss, first, second, (4, 2))
    assert together == pytest.approx(float(torch.stack(alone).mean()))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_gradients_are_finite_for_any_batch(size: int) -> None:
    first = torch.randn(size, 4, requires_grad=True)
    second = torch.randn(size, 4)
    for loss in (
        ranking_loss(first, second, 20.0),
        cosent_loss(first, second, torch.rand(size), 20.0),
        cosine_loss(first, second, torch.rand(size)),
    ):
        (gradient,) = torch.autograd.grad(loss, first)
        assert torch.isfinite(gradient).all()
