"""Augmentation keeps pictures pictures, and does only what it is told."""

import pytest
import torch

from training.data.augment import augment
from training.tasks.image_settings import AugmentConfig

NOTHING = AugmentConfig(
    shift=0, rotate_degrees=0, smallest=1, contrast=0, flip_probability=0, invert_probability=0
)


def pictures(channels: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(64, channels, 8, 8)


def changed(channels: int, **settings: float) -> torch.Tensor:
    return augment(pictures(channels), NOTHING.model_copy(update=settings))


@pytest.mark.parametrize("channels", [1, 3])
def test_told_to_do_nothing_it_changes_nothing(channels: int) -> None:
    torch.testing.assert_close(changed(channels), pictures(channels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_default_keeps_shape_range_and_differs_between_pictures(channels: int) -> None:
    one = torch.rand(1, channels, 8, 8).repeat(16, 1, 1, 1)
    many = augment(one, AugmentConfig())
    assert many.shape == one.shape
    assert many.min() >= 0
    assert many.max() <= 1 + 1e-6
    assert not torch.allclose(many[0], many[1])


def test_inversion_is_for_grey_and_mirroring_for_colour() -> None:
    inverted = changed(1, invert_probability=1.0, flip_probability=1.0)
    torch.testing.assert_close(inverted, 1 - pictures(1), atol=1e-5, rtol=0)
    mirrored = changed(3, invert_probability=1.0, flip_probability=1.0)
    torch.testing.assert_close(mirrored, pictures(3).flip(-1), atol=1e-5, rtol=0)


def test_shrinking_leaves_black_margins() -> None:
    white = torch.ones(32, 1, 16, 16)
    torch.manual_seed(0)
    smaller = augment(white, NOTHING.model_copy(update={"smallest": 0.5}))
    assert smaller.sum() < white.sum()
    assert bool((smaller[:, :, 8, 8] > 0.99).all())


def test_the_same_seed_draws_the_same_changes() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(3)
        draws.append(augment(torch.ones(4, 1, 8, 8), AugmentConfig()))
    assert torch.equal(*draws)
