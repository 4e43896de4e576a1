"""One loss for labels and mixtures; weights make rare classes count as much as common ones."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.losses import class_weights, classification_loss, distillation_loss, smooth

LABELS = torch.tensor([0, 2, 2, 1, 0, 2])
WEIGHTS = torch.tensor([0.5, 3.0, 1.0])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_a_mixture_of_one_class_costs_what_its_label_costs(
    smoothing: float, weights: torch.Tensor | None
) -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 3)
    targets = functional.one_hot(LABELS, 3).float()
    hard = classification_loss(logits, LABELS, smoothing=smoothing, weights=weights)
    soft = classification_loss(logits, targets, smoothing=smoothing, weights=weights)
    torch.testing.assert_close(hard, soft)


def test_a_mixture_costs_the_mixture_of_the_losses() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3)
    pure = [classification_loss(logits, torch.tensor([label])) for label in (0, 1)]
    mixed = classification_loss(logits, torch.tensor([[0.3, 0.7, 0.0]]))
    torch.testing.assert_close(mixed, 0.3 * pure[0] + 0.7 * pure[1])


def test_smoothing_shares_its_part_among_all_classes() -> None:
    assert smooth(LABELS, 3, 0.0) is LABELS
    assert smooth(torch.tensor([1]), 4, 0.2).tolist() == [pytest.approx([0.05, 0.85, 0.05, 0.05])]
    assert torch.allclose(smooth(LABELS, 3, 0.3).sum(dim=1), torch.ones(6))


def test_smoothing_makes_boundless_confidence_expensive() -> None:
    sure, unsure = torch.tensor([[40.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    label = torch.tensor([0])
    assert classification_loss(sure, label) < classification_loss(unsure, label)
    assert classification_loss(sure, label, smoothing=0.1) > classification_loss(
        unsure, label, smoothing=0.1
    )


def test_balanced_weights_make_every_class_count_alike_and_the_mean_item_one() -> None:
    labels = np.array([0] * 90 + [1] * 9 + [3])
    weights = class_weights(labels, 4, "balanced")
    assert weights is not None
    totals = weights.numpy()[[0, 1, 3]] * np.array([90, 9, 1])
    assert totals == pytest.approx([totals[0]] * 3)
    assert weights.numpy()[labels].mean() == pytest.approx(1)
    assert weights[2] == 1  # nobody has it, nothing is learned of it


def test_without_balance_there_are_no_weights() -> None:
    assert class_weights(np.array([0, 0, 1]), 2, "none") is None


def test_the_weighted_gradient_of_a_rare_class_is_as_strong_as_that_of_a_common_one() -> None:
    labels = np.array([0] * 9 + [1])
    logits = torch.zeros(10, 2, requires_grad=True)
    weights = class_weights(labels, 2, "balanced")
    classification_loss(logits, torch.from_numpy(labels), weights=weights).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert float(logits.grad.sum(dim=0).abs().max()) < 1e-6


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn() -> None:
    logits = torch.randn(6, 4)
    assert float(distillation_loss(logits, logits + 3, temperature=4)) == pytest.approx(0, abs=1e-5)


def test_gradients_of_a_softened_loss_are_as_large_as_those_of_a_plain_one() -> None:
    """The square of the temperature: without it they would be a sixteenth, at 4 (for small logits)."""
    taught = 0.01 * torch.randn(64, 5)
    sizes = []
    for temperature in (1.0, 4.0):
        logits = torch.zeros(64, 5, requires_grad=True)
        distillation_loss(logits, taught, temperature).backward()
        assert logits.grad is not None
        sizes.append(float(logits.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)
