"""What the classifier learns by: mixed targets reach the loss, weights and smoothing change it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.blocks import ImagePreprocessing
from models.errors import UsageError
from training.losses import classification_loss
from training.networks.capsnet import CapsNet
from training.tasks.image_module import ImageClassifierModule
from training.tasks.image_settings import AugmentConfig, ImageClassificationConfig

NOTHING = AugmentConfig(
    shift=0, rotate_degrees=0, smallest=1, contrast=0, flip_probability=0, invert_probability=0
)
BLOCK = ImagePreprocessing(
    input="image", height=8, width=8, channel_order="RGB", mean=(0.0,) * 3, std=(1.0,) * 3
)
BATCH = (
    torch.arange(6 * 3 * 64).remainder(251).reshape(6, 3, 8, 8).to(torch.uint8),
    torch.tensor([0, 1, 2, 0, 1, 0]),
)


def config(**changes: Any) -> ImageClassificationConfig:
    base = {
        "recipe": "digits",
        "task": "image-classification",
        "name": "digits",
        "epochs": 1,
        "batch_size": 6,
        "augment": NOTHING,
        "label_smoothing": 0.0,
    }
    return ImageClassificationConfig.model_validate(base | changes)


def loss_of(settings: ImageClassificationConfig, weights: Tensor | None = None) -> Tensor:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    module = ImageClassifierModule(network, settings, BLOCK, 3, weights)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    torch.manual_seed(1)
    return module.training_step(BATCH, 0)


def test_the_loss_of_a_mixed_batch_is_that_of_its_mixed_targets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(logits: Tensor, targets: Tensor, **options: Any) -> Tensor:
        seen.append((logits, targets))
        return classification_loss(logits, targets, **options)

    monkeypatch.setattr("training.losses.classification_loss", watched)
    augment = NOTHING.model_copy(update={"mixup_alpha": 1.0})
    loss = loss_of(config(augment=augment))
    ((logits, targets),) = seen
    assert targets.shape == (6, 3)
    assert int((targets > 0).sum(dim=1).max()) == 2
    expected = -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss, expected)


def test_smoothing_and_weights_change_the_loss_and_nothing_else_does() -> None:
    plain = loss_of(config())
    assert torch.equal(plain, loss_of(config()))
    assert not torch.equal(plain, loss_of(config(label_smoothing=0.1)))
    assert not torch.equal(plain, loss_of(config(), torch.tensor([0.1, 2.0, 3.0])))
    assert torch.equal(plain, loss_of(config(), torch.ones(3)))


def test_class_weights_are_refused_where_a_network_has_a_loss_of_its_own() -> None:
    network = CapsNet.__new__(CapsNet)
    with pytest.raises(UsageError, match="takes no weights"):
        ImageClassifierModule(network, config(network="capsnet"), BLOCK, 3, torch.ones(3))
