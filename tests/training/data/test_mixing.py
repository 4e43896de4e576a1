"""Mixed pictures come with targets that say exactly how much of each picture they show."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.data.mixing import mix
from training.tasks.image_settings import AugmentConfig

CLASSES = 5


def batch(count: int = 64, side: int = 16) -> tuple[Tensor, Tensor]:
    """Pictures of one level each, class k's is k: what a pixel shows can be told."""
    labels = torch.arange(count) % CLASSES
    pixels = labels.float().reshape(-1, 1, 1, 1).expand(-1, 3, side, side).clone()
    return pixels, labels


def mixed(seed: int = 0, **settings: float) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    pixels, labels = batch()
    return mix(pixels, labels, CLASSES, AugmentConfig.model_validate(settings))


def test_unasked_it_leaves_pictures_and_labels_as_they_are() -> None:
    pixels, labels = batch()
    same, targets = mix(pixels, labels, CLASSES, AugmentConfig())
    assert same is pixels
    assert targets is labels


@pytest.mark.parametrize("settings", [{"mixup_alpha": 0.4}, {"cutmix_alpha": 1.0}])
def test_targets_are_shares_of_two_classes_that_sum_to_one(settings: dict[str, float]) -> None:
    _, targets = mixed(0, **settings)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(64))
    assert float(targets.min()) >= 0
    assert int((targets > 0).sum(dim=1).max()) == 2


def test_mixup_blends_the_whole_picture_by_its_targets() -> None:
    pixels, targets = mixed(mixup_alpha=1.0)
    levels = torch.arange(CLASSES).float()
    expected = (targets @ levels).reshape(-1, 1, 1, 1).expand_as(pixels)
    torch.testing.assert_close(pixels, expected)


def test_cutmix_pastes_a_rectangle_whose_area_its_targets_tell() -> None:
    pixels, targets = mixed(cutmix_alpha=1.0)
    levels = torch.arange(CLASSES).float()
    shown = (pixels[:, 0, :, :, None] == levels).float().mean(dim=(1, 2))
    torch.testing.assert_close(shown, targets)
    own = batch()[1]
    for picture, label in zip(pixels[:, 0], own, strict=True):
        pasted = picture != label
        height, width = int(pasted.any(dim=1).sum()), int(pasted.any(dim=0).sum())
        assert int(pasted.sum()) == height * width


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_are_drawn_from_beta(alpha: float) -> None:
    torch.manual_seed(0)
    # Every picture a class of its own: the share is the largest of its row or one minus that.
    labels = torch.arange(512)
    _, targets = mix(torch.zeros(512, 1, 2, 2), labels, 512, AugmentConfig(mixup_alpha=alpha))
    shares = targets[labels, labels]
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.06)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.02)


def test_both_share_the_batches_and_some_are_left_alone() -> None:
    kinds = {"alone": 0, "blended": 0, "pasted": 0}
    for seed in range(200):
        pixels, targets = mixed(seed, mixup_alpha=1.0, cutmix_alpha=1.0, mix_probability=0.6)
        if not targets.is_floating_point():
            kinds["alone"] += 1
        else:
            is_whole = bool((pixels == pixels.round()).all())
            kinds["pasted" if is_whole else "blended"] += 1
    assert kinds["alone"] == pytest.approx(80, abs=21)
    assert kinds["blended"] == pytest.approx(60, abs=20)
    assert kinds["pasted"] == pytest.approx(60, abs=20)


def test_the_same_seed_mixes_alike() -> None:
    first, again, other = (mixed(seed, cutmix_alpha=1.0)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_picture_mixed_with_one_of_its_class_stays_that_class() -> None:
    torch.manual_seed(0)
    pixels, labels = torch.rand(8, 1, 4, 4), torch.full((8,), 2)
    _, targets = mix(pixels, labels, CLASSES, AugmentConfig(mixup_alpha=1.0))
    torch.testing.assert_close(targets, functional.one_hot(labels, CLASSES).float())
