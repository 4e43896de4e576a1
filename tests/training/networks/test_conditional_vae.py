"""The generator gives pictures in 0–1 and heeds both noise and label."""

import torch

from training.networks.conditional_vae import ConditionalVae, Generator, VaeShape

SHAPE = VaeShape(channels=1, side=8, classes=4, latent=3, hidden=16)


def test_pictures_have_the_stated_shape_and_range() -> None:
    pictures = Generator(SHAPE)(torch.randn(5, 3), torch.tensor([0, 1, 2, 3, 0]))
    assert pictures.shape == (5, 1, 8, 8)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


def test_noise_and_label_both_change_the_picture() -> None:
    generator = Generator(SHAPE)
    noise = torch.randn(1, 3)
    first = generator(noise, torch.tensor([0]))
    assert not torch.allclose(first, generator(noise, torch.tensor([1])))
    assert not torch.allclose(first, generator(noise + 1, torch.tensor([0])))


def test_training_returns_logits_and_the_latents_distribution() -> None:
    logits, mean, log_variance = ConditionalVae(SHAPE)(
        torch.rand(5, 1, 8, 8), torch.zeros(5, dtype=torch.int64)
    )
    assert logits.shape == (5, 1, 8, 8)
    assert mean.shape == log_variance.shape == (5, 3)
