"""`class_weights` reaches the loss of every kind of classification, for training and for validation."""

from typing import Any

import pytest
import torch

from tests.training.tasks.test_work_folds import work_of

SMALL = {
    "digits": (),
    "text-bag": ("sentences=opinions", "opinions.train=40", "opinions.validation=10"),
    "entities": ("sentences.train=40", "sentences.validation=10", "sentences.test=8"),
}


def losses(recipe: str, *settings: str) -> tuple[Any, list[float]]:
    """The module, and its losses in training and validation of the first training batch."""
    work = work_of(recipe, *SMALL[recipe], "dropout=0", "label_smoothing=0", *settings)
    torch.manual_seed(0)
    module = work.lightning_module().eval()
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.setdefault(name, float(value))  # type: ignore[method-assign, assignment]
    torch.manual_seed(0)
    batch = next(iter(work.train_loader()))
    with torch.no_grad():
        module.training_step(batch, 0)
        module.validation_step(batch, 0)
    return module, [logged["train_loss"], logged["val_loss"]]


@pytest.mark.parametrize("recipe", SMALL)
def test_balanced_weights_change_both_losses_and_none_are_none(recipe: str) -> None:
    plain, unweighted = losses(recipe)
    balanced, weighted = losses(recipe, "class_weights=balanced")
    assert plain._class_weights is None
    assert balanced._class_weights.ndim == 1
    assert all(abs(one - other) > 1e-6 for one, other in zip(unweighted, weighted, strict=True))


@pytest.mark.parametrize("recipe", SMALL)
def test_weights_are_no_part_of_a_checkpoint(recipe: str) -> None:
    plain, _ = losses(recipe)
    balanced, _ = losses(recipe, "class_weights=balanced")
    assert plain.state_dict().keys() == balanced.state_dict().keys()
