import pytest
import torch

from training.data.masked_pictures import IGNORED
from training.segmentation_loss import dice_loss, segmentation_loss

MASK = torch.tensor([[[0, 1], [1, IGNORED]]])


def sure_of(mask: torch.Tensor, classes: int = 3) -> torch.Tensor:
    chosen = torch.where(mask == IGNORED, 0, mask)
    return 50.0 * torch.nn.functional.one_hot(chosen, classes).permute(0, 3, 1, 2)


def test_the_right_answer_costs_nothing_and_the_wrong_one_much() -> None:
    assert segmentation_loss(sure_of(MASK), MASK, 1.0).item() == pytest.approx(0, abs=1e-4)
    wrong = sure_of(torch.tensor([[[2, 2], [2, 2]]]))
    assert segmentation_loss(wrong, MASK, 1.0).item() > 10


def test_dice_by_paper_and_pencil() -> None:
    """Class 0 claimed everywhere that is known: 2·1+1 over 3+1+1 for it, 0+1 over 0+2+1 for class 1."""
    claimed = sure_of(torch.zeros_like(MASK))
    assert dice_loss(claimed, MASK).item() == pytest.approx(1 - (3 / 5 + 1 / 3) / 2)


def test_pixels_of_which_nothing_is_known_teach_nothing() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    segmentation_loss(logits, MASK, 1.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[0, :, 1, 1] == 0).all()
    assert (logits.grad[0, :, 0, 0] != 0).any()


def test_a_batch_of_which_nothing_is_known_has_no_loss() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 2, 2), IGNORED), 1.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
